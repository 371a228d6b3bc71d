"""`penstock status` against the in-memory API server: what people see, what programs read, and its exit codes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from builders.day_two import chat, condition, data_of, gateway, h100_pool, installed, invoke, resource, route
from penstock.cli.status import status
from penstock.cluster.fake import FakeAPIServer

FLEET = (h100_pool(), chat(), gateway(), route())


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        yield made


async def test_a_healthy_fleet_is_one_screen_and_exit_code_0(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(status, installed(server, *FLEET), tmp_path)
    assert result.exit_code == 0, result.output
    assert "Nothing needs attention." in result.output
    lines = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    assert lines["h100"] == ["h100", "H100-SXM-80GB", "2/2", "16", "4", "12", "40.00", "USD"]
    deployment = next(line for line in result.output.splitlines() if "Serving" in line)
    assert deployment.split() == ["assistants/chat", "Serving", "2/2", "h100", "vLLM", "BF16", "5.00", "USD"]
    assert "ai-platform/main" in result.output
    assert "http://main-gateway.ai-platform.svc:8000/v1" in result.output


@pytest.mark.parametrize("columns", [80, 160])
async def test_no_line_is_longer_than_the_terminal(server: FakeAPIServer, tmp_path: Path, columns: int) -> None:
    long = chat(condition("Accepted"), condition("Available", "False", "CrashLoop", "word " * 40), name="a" * 50)
    result = await invoke(status, installed(server, *FLEET, long), tmp_path, columns=columns)
    assert result.exit_code == 1
    assert max(map(len, result.output.splitlines())) <= columns
    for cell in ("16", "12", "BF16", "Serving", "2/2"):
        assert cell in result.output.split()


async def test_the_most_urgent_comes_first_and_the_exit_code_is_1(server: FakeAPIServer, tmp_path: Path) -> None:
    refused = chat(condition("Accepted", "False", "Invalid", "no such engine"), condition("Available"), name="refused")
    dead = chat(condition("Accepted"), condition("Available", "False", "CrashLoop", "exit code 1"), name="dead")
    fresh = resource("ModelDeployment", "fresh", "assistants", spec={"model": "Qwen/Qwen3-8B"})
    result = await invoke(status, installed(server, *FLEET, refused, dead, fresh), tmp_path, "-o", "json")
    assert result.exit_code == 1, result.output
    told = [(each["urgency"], each["name"], each["reason"]) for each in data_of(result)["attention"]]
    assert told == [
        ("not serving", "dead", "CrashLoop"),
        ("refused", "refused", "Invalid"),
        ("pending", "fresh", "NotObserved"),
    ]


async def test_an_empty_cluster_says_what_to_do_next(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(status, installed(server), tmp_path)
    assert result.exit_code == 0
    for missing in ("No InferencePool", "No ModelDeployment", "No InferenceGateway"):
        assert missing in result.output


async def test_without_the_crds_it_says_how_to_install_them(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(status, server, tmp_path)
    assert result.exit_code == 2
    assert "helm install penstock-crds" in result.output


async def test_a_namespace_is_enough_for_who_may_not_see_pools(server: FakeAPIServer, tmp_path: Path) -> None:
    installed(server, *FLEET, chat(namespace="other", name="elsewhere"))
    server.faults.fail(403, verbs="list", kinds="inferencepools")
    result = await invoke(status, server, tmp_path, "-n", "assistants")
    assert result.exit_code == 0
    assert "assistants/chat" in result.output
    assert "elsewhere" not in result.output
    assert "not seen: inferencepools.penstock.dev: you may not list" in result.output
    assert "No InferencePool" not in result.output


def test_a_cluster_that_does_not_answer_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    server = FakeAPIServer(port=9)
    result = CliRunner().invoke(status, ["--kubeconfig", str(server.kubeconfig(tmp_path / "config"))])
    assert result.exit_code == 2
    assert "does not answer" in result.output
    assert "--context" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kubeconfig", "/nowhere/config"], "loading the credentials from /nowhere/config"),
        (["--watch", "-o", "json"], "--watch shows tables"),
    ],
)
def test_bad_usage_is_exit_code_2(words: list[str], said: str) -> None:
    result = CliRunner().invoke(status, words)
    assert result.exit_code == 2
    assert said in result.output


async def test_a_context_that_is_not_there_is_told(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(status, server, tmp_path, "--context", "elsewhere")
    assert result.exit_code == 2
    assert "elsewhere" in result.output
