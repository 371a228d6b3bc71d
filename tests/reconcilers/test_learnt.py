"""What is learnt, how it is bounded and kept, and when plans are made anew because of it."""

import json
from typing import Any

import pytest

from builders.plans import plan
from penstock.api.formats import EngineName
from penstock.cluster.errors import NotFound
from penstock.errors import ClusterError
from penstock.planner.learnt import Learnt, kv_key, step_key
from penstock.reconcilers.learnt import LearntBook, LearntStore, decode_learnt, encode_learnt

PLAN = plan()
PLANNED = PLAN.memory.kv_tokens
STEP = step_key(PLAN.checkpoint.model, PLAN.accelerator, EngineName.VLLM)


def test_room_is_learnt_and_a_great_difference_is_worth_a_plan() -> None:
    book = LearntBook()
    assert not book.note_kv_tokens(PLAN, PLANNED * 85 // 100)
    assert book.dirty
    assert book.learnt.kv_tokens == {kv_key(PLAN): PLANNED * 85 // 100}
    assert book.note_kv_tokens(PLAN, PLANNED // 2)
    kept = book.learnt
    assert not book.note_kv_tokens(PLAN, PLANNED // 2 + 10)
    assert book.learnt is kept


def test_a_step_time_is_approached_slowly_and_never_beyond_its_bounds() -> None:
    """Ten readings of twice the time are some 1.65; a thousand of twenty times are the bound."""
    book = LearntBook()
    anew = [book.note_step_time(PLAN, 2.0) for _ in range(10)]
    assert book.step_times[STEP] == pytest.approx(2 - 0.9**10)
    assert 1 <= sum(anew) <= 3
    for _ in range(1000):
        book.note_step_time(PLAN, 20.0)
    assert book.learnt.step_time(PLAN.checkpoint.model, PLAN.accelerator, EngineName.VLLM) == pytest.approx(
        3.0, rel=0.06
    )
    for _ in range(1000):
        book.note_step_time(PLAN, 0.05)
    assert book.step_times[STEP] == 0.5


def test_small_changes_leave_plans_and_the_store_alone() -> None:
    book = LearntBook()
    kept = book.learnt
    assert not any(book.note_step_time(PLAN, 1.04) for _ in range(100))
    assert (book.learnt is kept, book.dirty) == (True, False)


def test_it_is_bounded_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.reconcilers.learnt._MOST_ENTRIES", 2)
    book = LearntBook()
    for pool in ("a", "b", "c"):
        book.note_kv_tokens(plan(max_sequences=len(pool) + ord(pool)), 1)
    assert [key.split("|s")[1].split("|")[0] for key in book.kv_tokens] == ["99", "100"]


def test_what_is_stored_is_read_again() -> None:
    learnt = Learnt({"a": 5, "b": 7}, {STEP: 1.25})
    found = decode_learnt(encode_learnt(learnt))
    assert (found.kv_tokens, found.step_times) == (learnt.kv_tokens, learnt.step_times)


NONSENSE = {
    "empty": "",
    "no JSON": "[1, NaN",
    "another shape": "[]",
    "another version": '{"version": 2, "kvTokens": {"a": 5}}',
    "values that are none": json.dumps(
        {"version": 1, "kvTokens": {"a": "many", "b": -1, "c": 1e300}, "stepTimes": {"a": 90, "b": None, "c": []}}
    ),
    "not a number": '{"version": 1, "kvTokens": {"a": NaN}, "stepTimes": {"a": Infinity}}',
    "no table": '{"version": 1, "kvTokens": [1], "stepTimes": "a"}',
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_teaches_nothing(text: str) -> None:
    found = decode_learnt(text)
    assert (dict(found.kv_tokens), dict(found.step_times)) == ({}, {})


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
    assert decode_learnt(written["data"]["learnt"]).kv_tokens == {kv_key(PLAN): 5}


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
