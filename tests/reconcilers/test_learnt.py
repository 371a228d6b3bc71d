"""What is learnt, how it is bounded and kept, and when plans are made anew because of it."""

import json
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.plans import plan
from penstock.cluster.errors import NotFound
from penstock.errors import ClusterError
from penstock.planner.accuracy import StepTimes
from penstock.planner.corrections import Correction, CorrectionKey, Corrections
from penstock.planner.learnt import NOTHING_LEARNT, kv_key
from penstock.reconcilers.learnt import LearntBook, LearntStore

PLAN = plan()
PLANNED = PLAN.memory.kv_tokens
KEY = CorrectionKey(PLAN.checkpoint.model, PLAN.accelerator, PLAN.engine)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_room_is_learnt_and_a_great_difference_is_worth_a_plan() -> None:
    book = LearntBook()
    assert not book.note_kv_tokens(PLAN, PLANNED * 85 // 100)
    assert book.dirty
    assert book.of([PLAN.checkpoint.model]).room(PLAN) == PLANNED * 85 // 100
    assert book.note_kv_tokens(PLAN, PLANNED // 2)
    book.dirty = False
    assert not book.note_kv_tokens(PLAN, PLANNED // 2 + 10)
    assert (book.dirty, book.of([PLAN.checkpoint.model]).room(PLAN)) == (False, PLANNED // 2)


def test_only_what_concerns_a_deployment_is_told() -> None:
    """Else a figure of one model would have all plans made anew."""
    book = LearntBook()
    book.note_kv_tokens(PLAN, 5)
    for _ in range(10):
        book.note_step_times(PLAN, StepTimes(0.02, 0.01), NOW)
    told = book.of(["org/other", PLAN.checkpoint.model])
    assert told.room(PLAN) == 5
    assert told.correction(*astuple(KEY)) > 1.2
    assert told.correction("org/other", KEY.accelerator, KEY.engine) == 1.0
    assert book.of(["org/other"]) is NOTHING_LEARNT


def test_an_engine_with_arguments_of_its_user_tells_only_of_such() -> None:
    """Two that differ in a flag would overwrite each other for ever."""
    book, flag = LearntBook(), ("--enforce-eager",)
    assert book.note_kv_tokens(PLAN, PLANNED // 2, flag)
    assert book.of([PLAN.checkpoint.model]) is NOTHING_LEARNT
    assert not book.note_kv_tokens(PLAN, PLANNED)
    book.dirty = False
    for _ in range(3):
        assert not book.note_kv_tokens(PLAN, PLANNED // 2, flag)
        assert not book.note_kv_tokens(PLAN, PLANNED)
    assert not book.dirty
    rooms = [book.of([PLAN.checkpoint.model], each).room(PLAN) for each in ((), flag, ("--other",))]
    assert rooms == [PLANNED, PLANNED // 2, None]


def test_what_a_step_takes_is_learnt_slowly() -> None:
    """Ten measurements of twice the modelled time: plans are made anew once or a few times, not ten times."""
    book = LearntBook()
    anew = [book.note_step_times(PLAN, StepTimes(0.02, 0.01), NOW) for _ in range(10)]
    assert 1 <= sum(anew) <= 4
    assert 1.2 < book.corrections.factor(KEY) <= 2.0
    assert book.dirty


def test_small_changes_leave_plans_and_the_store_alone() -> None:
    book = LearntBook()
    assert not any(book.note_step_times(PLAN, StepTimes(0.0104, 0.01), NOW) for _ in range(100))
    assert not book.dirty


def test_what_was_recalled_is_what_plans_were_made_with() -> None:
    """The next operator does not plan anew for what the last one knew."""
    book, again = LearntBook(), LearntBook()
    for _ in range(30):
        book.note_step_times(PLAN, StepTimes(0.02, 0.01), NOW)
    again.recall(book.text())
    assert not again.note_step_times(PLAN, StepTimes(0.02, 0.01), NOW)
    assert not again.dirty


def test_it_is_bounded_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.reconcilers.learnt._MOST_ENTRIES", 2)
    book = LearntBook()
    for pool in ("a", "b", "c"):
        book.note_kv_tokens(plan(max_sequences=len(pool) + ord(pool)), 1)
    assert [key.split("|s")[1].split("|")[0] for key in book.kv_tokens] == ["99", "100"]


def test_what_is_stored_is_read_again() -> None:
    book, again = LearntBook({"a": 5, "b": 7}, Corrections({KEY: Correction(1.25, 7, NOW)})), LearntBook()
    again.recall(book.text())
    assert (again.kv_tokens, again.corrections.entries) == (book.kv_tokens, book.corrections.entries)


NONSENSE = {
    "empty": "",
    "no JSON": "[1, NaN",
    "another shape": "[]",
    "another version": '{"version": 2, "kvTokens": {"a": 5}}',
    "values that are none": json.dumps(
        {
            "version": 1,
            "kvTokens": {"a": "many", "b": -1, "c": 1e300},
            "corrections": {"a": 90, "b|c|d": {"factor": "x"}},
        }
    ),
    "not a number": '{"version": 1, "kvTokens": {"a": NaN}, "corrections": {"a|b|c": Infinity}}',
    "no table": '{"version": 1, "kvTokens": [1], "corrections": "a"}',
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_teaches_nothing(text: str) -> None:
    book = LearntBook()
    book.recall(text)
    assert (book.kv_tokens, dict(book.corrections.entries)) == ({}, {})


class Answers:
    """A client that fails as often as it is told, then has no ConfigMap; it keeps what is applied."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.applied: list[dict[str, Any]] = []

    async def get(self, *_: object) -> dict[str, Any]:
        self._fail()
        raise NotFound("no ConfigMap")  # noqa: EM101, TRY003 - the client's own

    async def apply(self, manifest: dict[str, Any]) -> None:
        self._fail()
        self.applied.append(manifest)

    def _fail(self) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ClusterError("away")  # noqa: EM101 - the client's own


async def test_nothing_is_written_before_it_was_read() -> None:
    """Else what others learnt would be lost by one failed request."""
    client, book = Answers(failures=1), LearntBook()
    store = LearntStore(client, "penstock-system")  # type: ignore[arg-type] # as much of it as is used
    await store.load(book)
    book.note_kv_tokens(PLAN, 5)
    await store.save(book)
    assert client.applied == []
    await store.load(book)
    book.note_kv_tokens(PLAN, 5)
    await store.save(book)
    await store.save(book)
    (written,) = client.applied
    assert json.loads(written["data"]["learnt"])["kvTokens"] == {kv_key(PLAN): 5}


async def test_a_failed_write_is_made_up_for() -> None:
    client, book = Answers(failures=0), LearntBook()
    store = LearntStore(client, "penstock-system")  # type: ignore[arg-type] # as much of it as is used
    await store.load(book)
    book.note_kv_tokens(PLAN, 5)
    client.failures = 1
    await store.save(book)
    assert book.dirty
    await store.save(book)
    assert (len(client.applied), book.dirty) == (1, False)
