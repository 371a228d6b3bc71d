"""Whatever an upstream does: who answers next, what the client sees, and that nobody else is ever asked."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from builders.edges import Stage, edge
from builders.tables import backend, table
from builders.upstreams import Handler, answers, cuts, hangs, nowhere, resets, says, streams, trickles, upstream
from penstock_policy.table import Limits, Rule, Share
from penstock_policy.wire import encode

QUICK = Limits(attempts=1, request_seconds=20, first_token_seconds=1.0)


def limits(*, attempts: int = 1, request_seconds: float = 20, first_token_seconds: float = 20) -> Limits:
    return Limits(request_seconds, first_token_seconds, attempts)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (resets(), "ConnectionReset"),
        (says(429), "RateLimited"),
        (says(500), "ServerError"),
        (says(502), "ServerError"),
        (says(503), "ServerError"),
        (says(401), "Unauthorized"),
        (says(403), "Unauthorized"),
        (says(404), "NotFound"),
        (says(302, Location="/elsewhere"), "UnexpectedStatus"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_upstreams_fault_is_answered_by_the_next_backend(tmp_path: Path, fault: Handler, kind: str) -> None:
    async with (
        upstream(fault) as bad,
        upstream(answers()) as good,
        edge(tmp_path, table(backend("a", bad.url), backend("b", good.url))) as stage,
    ):
        response = await stage.ask()
        assert response.status == 200
        assert response.headers["x-penstock-attempts"] == "2"
        assert response.headers["x-penstock-why"] == f"after a {kind}"
        outcomes = [(record["backend"], record["outcome"]) for record in await stage.records()]
    assert outcomes == [("a", kind), ("b", "Answered")]


async def test_a_refused_connection_falls_back(tmp_path: Path) -> None:
    async with (
        upstream(answers()) as good,
        edge(tmp_path, table(backend("a", await nowhere()), backend("b", good.url))) as stage,
    ):
        assert (await stage.ask()).headers["x-penstock-why"] == "after a ConnectFailed"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_clients_own_error_goes_nowhere_else(tmp_path: Path, status: int) -> None:
    async with (
        upstream(says(status)) as one,
        upstream(answers()) as other,
        edge(tmp_path, table(backend("a", one.url), backend("b", other.url), limits=limits(attempts=3))) as stage,
    ):
        for _ in range(6):
            response = await stage.ask()
            assert (response.status, await response.json()) == (status, {"error": {"message": f"says {status}"}})
    assert (one.asked, other.asked) == (6, 0)


async def test_another_pod_is_tried_before_another_backend(tmp_path: Path) -> None:
    async with (
        upstream(says(500)) as bad,
        upstream(answers()) as good,
        upstream(answers()) as last,
        edge(
            tmp_path, table(backend("a", bad.url, good.url), backend("b", last.url), limits=limits(attempts=2))
        ) as stage,
    ):
        for _ in range(8):
            assert (await stage.ask()).headers["x-penstock-backend"] == "a"
    assert last.asked == 0


async def test_nothing_left_says_why(tmp_path: Path) -> None:
    async with (
        upstream(says(500)) as one,
        upstream(says(429)) as two,
        edge(tmp_path, table(backend("a", one.url), backend("b", two.url))) as stage,
    ):
        response = await stage.ask()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        message = (await response.json())["error"]["message"]
        assert message == "No backend of ai/chat answered: a: ServerError; b: RateLimited"
        assert response.headers["x-penstock-attempts"] == "2"


@pytest.mark.parametrize("never", [hangs(), streams(wait=60)], ids=["no head", "no chunk"])
async def test_a_stream_that_does_not_begin_falls_back(tmp_path: Path, never: Handler) -> None:
    async with (
        upstream(never) as slow,
        upstream(streams()) as good,
        edge(tmp_path, table(backend("a", slow.url), backend("b", good.url), limits=QUICK)) as stage,
    ):
        response = await stage.ask(body={"stream": True})
        assert response.headers["x-penstock-why"] == "after a FirstByteTimeout"
        assert (await response.text()).endswith("data: [DONE]\n\n")
        await asyncio.wait_for(slow.free.wait(), 5)
    assert slow.aborted == 1


async def test_the_first_byte_of_a_whole_answer_may_take_as_long_as_the_request(tmp_path: Path) -> None:
    """It comes when the whole answer is made."""
    async with (
        upstream(streams(wait=0.3)) as slow,
        edge(tmp_path, table(backend("a", slow.url), limits=limits(first_token_seconds=0.05))) as stage,
    ):
        assert (await stage.ask()).status == 200


async def test_the_requests_time_bounds_all_attempts(tmp_path: Path) -> None:
    async with (
        upstream(hangs()) as slow,
        upstream(hangs()) as other,
        edge(
            tmp_path, table(backend("a", slow.url), backend("b", other.url), limits=limits(request_seconds=0.2))
        ) as stage,
    ):
        response = await stage.ask()
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (504, "request_timeout")
        assert error["message"] == "The request's time is over: a: AttemptTimeout; b: TotalTimeout"


@pytest.mark.parametrize("never", [hangs(), trickles()], ids=["no head", "no end"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("chat/completions", {}), ("chat/completions", {"stream": True}), ("embeddings", {})],
    ids=["whole", "stream", "embeddings"],
)
async def test_who_hangs_leaves_time_for_another(
    tmp_path: Path, never: Handler, path: str, body: dict[str, bool]
) -> None:
    """Within the time of the request, whatever `first_token_seconds` says, and once only."""
    async with upstream(never) as slow, upstream(answers()) as good:
        plan = table(backend("a", slow.url), backend("b", good.url), limits=limits(attempts=2, request_seconds=1))
        async with edge(tmp_path, plan) as stage:
            response = await stage.ask(f"/v1/{path}", body=body)
            assert (response.status, response.headers["x-penstock-why"]) == (200, "after a AttemptTimeout")
    assert slow.asked == 1


async def test_pods_that_hang_leave_time_for_another_pod(tmp_path: Path) -> None:
    async with upstream(hangs()) as slow, upstream(hangs()) as late, upstream(answers()) as good:
        plan = table(
            backend("a", slow.url, late.url), backend("b", good.url), limits=limits(attempts=3, request_seconds=2)
        )
        async with edge(tmp_path, plan) as stage:
            response = await stage.ask()
            assert response.headers["x-penstock-why"] == "after a AttemptTimeout, a AttemptTimeout"
    assert (slow.asked, late.asked) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"credential": "missing"},
        {"protocol": "mistral"},
        {"endpoints": ()},
        None,
    ],
    ids=lambda value: ", ".join(value) if value else "nobody",
)
async def test_where_nobody_else_can_answer_all_the_time_is_the_firsts(
    tmp_path: Path, other: dict[str, Any] | None
) -> None:
    async with upstream(streams(wait=0.8)) as slow:
        backends = [backend("a", slow.url)]
        if other is not None:
            backends.append(replace(backend("b", slow.url), **other))
        async with edge(tmp_path, table(*backends, limits=limits(attempts=2, request_seconds=1.2))) as stage:
            assert (await stage.ask()).headers["x-penstock-why"] == "first choice"


async def test_a_stream_that_breaks_ends_with_an_error(tmp_path: Path) -> None:
    """It is not begun again: the client has the head already."""
    async with (
        upstream(cuts()) as bad,
        upstream(streams()) as good,
        edge(tmp_path, table(backend("a", bad.url), backend("b", good.url))) as stage,
    ):
        text = await (await stage.ask(body={"stream": True})).text()
        (record,) = await stage.records()
    assert '"one"' in text
    assert "ConnectionReset" in text.split("\n\n")[-2]
    assert (record["outcome"], record["status"]) == ("ConnectionReset", 200)
    assert good.asked == 0


async def test_a_gap_that_is_too_long_ends_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock_gateway.attempts._GAP_SECONDS", 0.2)
    async with (
        upstream(streams(gap=60)) as bad,
        edge(tmp_path, table(backend("a", bad.url))) as stage,
    ):
        text = await (await stage.ask(body={"stream": True})).text()
        await asyncio.wait_for(bad.free.wait(), 5)
    assert "GapTimeout" in text
    assert bad.aborted == 1


@pytest.mark.parametrize("body", [{"stream": True}, {}], ids=["stream", "whole"])
async def test_a_client_that_leaves_aborts_the_upstream(tmp_path: Path, body: dict[str, bool]) -> None:
    slow = streams(gap=60) if body else hangs()
    async with upstream(slow) as one, edge(tmp_path, table(backend("a", one.url))) as stage:
        asking = asyncio.create_task(stage.ask(body=body))
        await asyncio.wait_for(one.busy.wait(), 5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(one.free.wait(), 5)
        assert one.aborted == 1
        await _idle(stage)
        (record,) = await stage.records()
        assert record["outcome"] == "ClientLeft"
        assert stage.parts.pods.in_flight() == {}


async def test_a_circuit_opens_and_the_backend_is_passed_over(tmp_path: Path) -> None:
    async with (
        upstream(says(500)) as bad,
        upstream(answers()) as good,
        edge(tmp_path, table(backend("a", bad.url), backend("b", good.url))) as stage,
    ):
        # Time stands still for the circuits, so that none closes meanwhile.
        stage.parts.pods._now = lambda: 0.0
        whys = [(await stage.ask()).headers["x-penstock-why"] for _ in range(5)]
    assert whys == ["after a ServerError"] * 3 + ["after a CircuitOpen"] * 2
    assert bad.asked == 3


async def test_a_session_stays_with_its_pod(tmp_path: Path) -> None:
    async with (
        upstream(answers("1")) as one,
        upstream(answers("2")) as two,
        edge(tmp_path, table(backend("a", one.url, two.url))) as stage,
    ):
        for _ in range(8):
            await stage.ask(headers={"x-penstock-session": "s"})
        assert sorted((one.asked, two.asked)) == [0, 8]


async def test_credentials_go_in_the_backends_own_form(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "openai").write_text("sk-upstream\n")
    (folder / "version").write_text("v7")
    async with upstream(answers()) as one, upstream(answers()) as two:
        plan = table(
            backend("a", one.url, credential="openai"),
            backend("b", two.url, credential="openai", protocol="Anthropic"),
        )
        async with edge(tmp_path, plan) as stage:
            assert (await stage.ask()).status == 503
            stage.parts.credentials.folder = folder
            stage.parts.credentials.refresh()
            assert stage.parts.credentials.version == "v7"
            assert (await stage.ask()).status == 200
            assert (await stage.ask("/v1/messages")).status == 200
    assert one.headers[0]["authorization"] == "Bearer sk-upstream"
    assert two.headers[0]["x-api-key"] == "sk-upstream"


def fails_after(event: asyncio.Event) -> Handler:
    """A 500, as late as the test wants it."""

    async def handle(_: web.Request) -> web.StreamResponse:
        await event.wait()
        return web.Response(status=500)

    return handle


async def test_a_pod_that_left_meanwhile_is_not_asked(tmp_path: Path) -> None:
    """Nor by a request that an older table decided: its fall-back goes where the applied table says."""
    slow = asyncio.Event()
    async with (
        upstream(fails_after(slow)) as first,
        upstream(answers()) as gone,
        upstream(answers("moved")) as come,
    ):
        a = backend("a", first.url)
        async with edge(tmp_path, table(a, backend("b", gone.url))) as stage:
            asking = asyncio.create_task(stage.ask())
            await asyncio.wait_for(first.busy.wait(), 5)
            await stage.parts.live.offer(encode(table(a, backend("b", come.url), generation=2)))
            slow.set()
            assert (await (await asking).json())["id"] == "moved"
    assert (gone.asked, come.asked) == (0, 1)


async def test_a_backend_that_left_meanwhile_is_passed_over(tmp_path: Path) -> None:
    slow = asyncio.Event()
    async with upstream(fails_after(slow)) as first, upstream(answers()) as gone, upstream(answers()) as good:
        a, b, c = backend("a", first.url), backend("b", gone.url), backend("c", good.url)
        async with edge(tmp_path, table(a, b, c, limits=limits(attempts=3))) as stage:
            asking = asyncio.create_task(stage.ask())
            await asyncio.wait_for(first.busy.wait(), 5)
            await stage.parts.live.offer(encode(table(c, generation=2)))
            assert stage.parts.pods.leaving() == {first.url: 1}
            slow.set()
            assert (await asking).headers["x-penstock-why"] == "after a ServerError, b Withdrawn"
            assert stage.parts.pods.leaving() == {}
    assert (first.asked, gone.asked) == (1, 0)


FAULTS: tuple[Callable[[], Handler], ...] = (
    resets,
    cuts,
    answers,
    streams,
    lambda: says(429),
    lambda: says(500),
    lambda: says(404),
    lambda: says(400),
)


@pytest.mark.parametrize("seed", range(12))
async def test_no_backend_outside_the_decision_is_ever_asked(tmp_path: Path, seed: int) -> None:
    """Restricted requests, random faults, two backends that may not see them: whatever fails, they see none."""
    random = Random(seed)
    async with AsyncExitStack() as stack:
        handlers = [[random.choice(FAULTS)() for _ in range(6)] for _ in range(5)]
        servers = [await stack.enter_async_context(upstream(*each)) for each in handlers]
        cleared = [2, 2, 2, 1, 0]
        random.shuffle(cleared)
        backends = [
            backend(f"b{number}", server.url, max_sensitivity=level)
            for number, (server, level) in enumerate(zip(servers, cleared, strict=True))
        ]
        plan = table(*backends, limits=limits(attempts=random.randint(1, 3), first_token_seconds=5))
        stage = await stack.enter_async_context(edge(tmp_path, plan))
        asked = [
            stage.ask(headers={"x-penstock-sensitivity": "restricted"}, body={"stream": random.random() < 0.5})
            for _ in range(10)
        ]
        statuses = {response.status for response in await asyncio.gather(*asked)}
        assert statuses <= {200, 400, 503}
        for server, level in zip(servers, cleared, strict=True):
            assert level == 2 or server.asked == 0
        assert stage.parts.pods.in_flight() == {}


async def test_weights_are_kept(tmp_path: Path) -> None:
    async with upstream(answers()) as one, upstream(answers()) as two:
        plan = table(backend("a", one.url), backend("b", two.url))
        rule = Rule("all", shares=(Share("a", 3), Share("b", 1)))
        (route,) = plan.routes
        async with edge(tmp_path, replace(plan, routes=(replace(route, rules=(rule,)),))) as stage:
            stage.parts.edge.random = Random(1)
            for _ in range(60):
                await stage.ask()
    assert 35 <= one.asked <= 55
    assert one.asked + two.asked == 60


async def _idle(stage: Stage) -> None:
    async with asyncio.timeout(5):
        while stage.parts.replica.in_flight:
            await asyncio.sleep(0.01)
