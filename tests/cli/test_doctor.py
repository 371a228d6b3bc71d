"""`penstock doctor` against the in-memory API server: exit codes, forms, and that it only reads."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from builders.day_two import chat, data_of, gateway, h100_pool, installed, invoke, lease, workload
from builders.live import gpu_node
from penstock.cli.doctor import doctor
from penstock.cli.examining import CHECKS, review
from penstock.cluster.fake import FakeAPIServer
from penstock.operations.checks import Needed, Reviewed

Object = dict[str, Any]


@pytest.fixture
async def server() -> AsyncIterator[FakeAPIServer]:
    async with FakeAPIServer() as made:
        node = gpu_node("one")
        for name in ("uid", "resourceVersion", "generation", "creationTimestamp"):
            node["metadata"].pop(name)
        here = (workload(), workload("penstock-server"), lease(now=datetime.now(UTC)))
        yield installed(made, *here, node, h100_pool(), chat(), gateway())


async def test_it_says_what_is_wrong_and_the_cure_and_changes_nothing(server: FakeAPIServer, tmp_path: Path) -> None:
    before = server.version
    result = await invoke(doctor, server, tmp_path, "-o", "json")
    found = {each["name"]: each for each in data_of(result)}
    assert list(found) == [check.name for check in CHECKS]
    assert result.exit_code == 1
    fails = {name for name, each in found.items() if each["result"] == "fail"}
    assert fails == {"certificate"}
    assert all(each["cure"] for each in found.values() if each["result"] in {"fail", "warn"})
    fine = {name for name, each in found.items() if each["result"] == "ok"}
    assert {"kubernetes", "crds", "operator", "leader", "server", "versions", "gpu-labels", "device-plugins"} <= fine
    assert found["gpu-labels"]["detail"] == "1 x H100-SXM-80GB"
    assert server.version == before


async def test_one_check_and_its_exit_code(server: FakeAPIServer, tmp_path: Path) -> None:
    result = await invoke(doctor, server, tmp_path, "--check", "crds", "--check", "leader")
    assert result.exit_code == 0, result.output
    assert "8 kinds, as penstock" in result.output
    assert "2 ok" in result.output


async def test_strict_counts_warnings(server: FakeAPIServer, tmp_path: Path) -> None:
    assert (await invoke(doctor, server, tmp_path, "--check", "namespaces")).exit_code == 0
    assert (await invoke(doctor, server, tmp_path, "--check", "namespaces", "--strict")).exit_code == 1


@pytest.mark.parametrize("columns", [80, 160])
async def test_no_line_is_longer_than_the_terminal(server: FakeAPIServer, tmp_path: Path, columns: int) -> None:
    result = await invoke(doctor, server, tmp_path, columns=columns)
    assert max(map(len, result.output.splitlines())) <= columns


async def test_an_empty_cluster_is_told_how_to_install(tmp_path: Path) -> None:
    async with FakeAPIServer() as server:
        result = await invoke(doctor, server, tmp_path, "-o", "json")
    found = {each["name"]: each for each in data_of(result)}
    assert found["crds"]["result"] == "fail"
    assert "helm upgrade --install penstock-crds" in found["crds"]["cure"]
    assert found["operator"]["result"] == "fail"


def test_the_list_asks_nobody() -> None:
    result = CliRunner().invoke(doctor, ["--list", "--kubeconfig", "/nowhere"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(CHECKS)


def test_another_name_is_refused_with_the_ones_there_are() -> None:
    result = CliRunner().invoke(doctor, ["--check", "weather"])
    assert result.exit_code == 2
    assert "'gpu-labels'" in result.output


class Reviewing:
    """Allows reading, and refuses to say anything about leases."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Object]] = []

    async def raw(self, method: str, path: str, *, body: Any = None) -> tuple[int, bytes]:
        assert method == "POST"
        self.asked.append((path, body))
        about = body["spec"]["resourceAttributes"]
        if about["resource"] == "leases":
            return 403, b"{}"
        return 201, json.dumps({"status": {"allowed": about["verb"] == "list"}}).encode()


async def test_rights_are_asked_for_people_and_for_the_account() -> None:
    mine = Needed("", "list", "penstock.dev", "routes")
    account = "system:serviceaccount:penstock-system:penstock-operator"
    its = Needed(account, "patch", "penstock.dev", "routes/status")
    silent = Needed(account, "list", "coordination.k8s.io", "leases", "penstock-system")
    asker = Reviewing()
    assert await review(asker, [mine, its, silent]) == (
        Reviewed(mine, True),
        Reviewed(its, False),
        Reviewed(silent, None),
    )
    paths = [path.rpartition("/")[2] for path, _ in asker.asked]
    assert paths == ["selfsubjectaccessreviews", "subjectaccessreviews", "subjectaccessreviews"]
    spec = asker.asked[1][1]["spec"]
    assert spec["user"] == account
    assert "system:serviceaccounts:penstock-system" in spec["groups"]
    assert (spec["resourceAttributes"]["resource"], spec["resourceAttributes"]["subresource"]) == ("routes", "status")
