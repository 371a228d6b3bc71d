"""Whether something may go, by what the status, the annotation and the tables say."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from builders.live import live
from penstock.api.modeldeployment import ModelDeployment
from penstock.api.refusals import Refused
from penstock.reconcilers.custom import Custom
from penstock.reconcilers.removal import FORCE_ANNOTATION, Removal, deadline_of, judge, worst
from penstock.reconcilers.traffic import GatewayTraffic, Traffic
from penstock.rollout.drain import Drained, Replica
from penstock_policy.table import Backend, Limits, Route, Rule, Share, Table

NOW = datetime(2026, 11, 21, 12, 10, tzinfo=UTC)
HOME, ENDPOINT = "deployment/team/chat", "http://10.0.0.1:8000"


@dataclass(frozen=True)
class Scene:
    """A removal of one endpoint; times are minutes before NOW at most ten."""

    condition: str = ""
    since: int = 0
    deleted: int | None = None
    force: str | None = None
    request_seconds: tuple[float | None, ...] = ()
    has: int = 4
    busy: int = 0

    def custom(self) -> Custom[ModelDeployment]:
        """The deployment."""
        found = live("ModelDeployment", "chat", namespace="team", api_version="penstock.dev/v1alpha1")
        found["spec"] = {"model": "Qwen/Qwen3-8B"}
        if self.force is not None:
            found["metadata"]["annotations"] = {FORCE_ANNOTATION: self.force}
        if self.deleted is not None:
            found["metadata"]["deletionTimestamp"] = _before(self.deleted)
        if self.condition:
            drained = {"type": "Drained", "status": self.condition, "lastTransitionTime": _before(self.since)}
            found["status"] = {"conditions": [drained]}
        return Custom.of(found, ModelDeployment)

    def traffic(self) -> Traffic:
        """Generation 4 took the endpoint out; one replica."""
        rules = tuple(
            Rule(f"rule-{number}", (Share(HOME),), limits=Limits(request_seconds=seconds))
            for number, seconds in enumerate(self.request_seconds)
        )
        gateway = GatewayTraffic()
        gateway.adopt(_table(3, ENDPOINT), "hash-3")
        gateway.published(_table(4, rules=rules), "hash-4")
        gateway.said = (Replica("gw-0", self.has, {ENDPOINT: self.busy}),)
        return Traffic(enabled=True, gateways={("entry", "main"): gateway})

    def judged(self) -> Removal:
        """Now."""
        return judge(self.traffic(), self.custom(), "Revision abc", [ENDPOINT], NOW)


def _before(minutes: int) -> str:
    return f"2026-11-21T12:{10 - minutes:02d}:00Z"


def _table(generation: int, *endpoints: str, rules: tuple[Rule, ...] = ()) -> Table:
    home = Backend(HOME, "Deployment", "OpenAI", "chat", endpoints, max_sensitivity=0)
    route = Route("team/chat", ("chat",), rules)
    return Table("entry/main", generation, ("low",), routes=(route,), backends=(home,))


SCENES: dict[str, tuple[Scene, Drained, float | None]] = {
    "all done": (Scene(), Drained.DRAINED, None),
    "not acknowledged": (Scene(has=3), Drained.NOT_ACKNOWLEDGED, None),
    "in flight from now on": (Scene(busy=1), Drained.IN_FLIGHT, 600),
    "in flight for a while": (Scene(busy=1, condition="False", since=4), Drained.IN_FLIGHT, 360),
    "time that nobody had acknowledged in is not counted": (
        Scene(busy=1, condition="Unknown", since=10),
        Drained.IN_FLIGHT,
        600,
    ),
    "in flight for as long as any request": (Scene(busy=1, condition="False", since=10), Drained.DRAINED, None),
    "a rule allows less": (
        Scene(busy=1, condition="False", since=4, request_seconds=(120.0,)),
        Drained.DRAINED,
        None,
    ),
    "the longest of its rules": (
        Scene(busy=1, condition="False", since=4, request_seconds=(120.0, 300.0)),
        Drained.IN_FLIGHT,
        60,
    ),
    "a rule that says nothing allows what gateways do": (
        Scene(busy=1, request_seconds=(120.0, None)),
        Drained.IN_FLIGHT,
        600,
    ),
    "before the user's deadline": (Scene(has=3, deleted=4, force="5m"), Drained.NOT_ACKNOWLEDGED, 60),
    "after it": (Scene(has=3, deleted=4, force="4m"), Drained.FORCED, None),
    "a deletion counts from its own time": (
        Scene(has=3, deleted=1, force="2m", condition="Unknown", since=9),
        Drained.NOT_ACKNOWLEDGED,
        60,
    ),
    "what is no deletion counts from its condition": (
        Scene(has=3, force="2m", condition="Unknown", since=9),
        Drained.FORCED,
        None,
    ),
    "a deadline that is none": (Scene(has=3, deleted=9, force="soon"), Drained.NOT_ACKNOWLEDGED, None),
}


@pytest.mark.parametrize(("scene", "verdict", "again"), SCENES.values(), ids=SCENES)
def test_judge(scene: Scene, verdict: Drained, again: float | None) -> None:
    """The verdict, and when time alone will change it."""
    removal = scene.judged()
    assert (removal.verdict, removal.look_again_seconds) == (verdict, again)
    assert removal.may_go == (verdict in {Drained.DRAINED, Drained.FORCED})


def test_what_is_lost_is_counted() -> None:
    """For the event."""
    assert Scene(busy=3, deleted=4, force="4m").judged().in_flight == 3


@pytest.mark.parametrize(
    ("value", "seconds"), [("600", 600), ("90s", 90), ("10m", 600), ("2h", 7200), ("0", 0)], ids=str
)
def test_durations(value: str, seconds: float) -> None:
    """A number, and its unit."""
    assert deadline_of(Scene(force=value).custom()) == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5h", "10 m", "10m ", "1h30m", "10M", "1d", "12345678"])
def test_no_durations(value: str) -> None:
    """They are refused by field, value, reason and cure, and the wait goes on with those words."""
    scene = Scene(force=value, has=3, deleted=9)
    with pytest.raises(Refused, match="is not a duration"):
        deadline_of(scene.custom())
    assert all(word in scene.judged().message for word in (FORCE_ANNOTATION, f"'{value}'", "10m"))


def test_no_deadline() -> None:
    """Nothing is ever forced."""
    assert deadline_of(Scene().custom()) is None


def test_the_worst_is_told() -> None:
    """Of what waits the one that is furthest from its end."""
    late, busy, done = (Removal(each, each) for each in (Drained.NOT_ACKNOWLEDGED, Drained.IN_FLIGHT, Drained.DRAINED))
    assert worst([done, busy, late]) is late
    assert worst([busy, done]) is busy
    assert worst([done]) is None
    assert worst([]) is None
