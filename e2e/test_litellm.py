"""A replica around the real LiteLLM: what is forwarded, what it translates, and what clients do not reach of it.

Runs in the gateway's own environment, which `make gateway` makes; without it these tests are left out.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.simulation.network import free_port
from penstock_policy.table import Backend, Consumer, Match, Price, Route, Rule, Share, Table
from penstock_policy.wire import encode

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-gateway" / "bin" / "python"
KEY, MASTER_KEY, CREDENTIAL = "sk-client", "sk-master", "sk-of-the-provider"
MESSAGES = [{"role": "user", "content": "hi"}]

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="LiteLLM's environment is missing: `make gateway` makes it"),
    pytest.mark.timeout(180),
]


@dataclass
class Gateway:
    """One replica: its clients' port, its internal port, its spool."""

    clients: httpx.Client
    internal: httpx.Client
    spool: Path

    def chat(self, model: str = "home", **more: Any) -> httpx.Response:
        """A chat request."""
        return self.clients.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES, **more})

    def records(self) -> list[dict[str, Any]]:
        """What was written down of the attempts so far."""
        lines = [line for path in sorted(self.spool.glob("*")) for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]


def _table(upstream: str) -> Table:
    home = Backend("deployment/team/home", "Deployment", "OpenAI", "m", (upstream,), 0)
    hosted = Backend(
        "provider/team/mistral/large",
        "Provider",
        "mistral",
        "mistral-large",
        (upstream,),
        0,
        credential="mistral",
        price=Price(2_000_000, 6_000_000),
    )
    routes = tuple(
        Route(f"team/{name}", (name,), (Rule("all", (Share(backend.name),), Match()),))
        for name, backend in (("home", home), ("hosted", hosted))
    )
    consumer = Consumer("team/bot", sha256(KEY.encode()).hexdigest(), frozenset(route.name for route in routes))
    return Table("team/main", 3, ("low",), routes=routes, backends=(home, hosted), consumers=(consumer,))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A replica with a backend that answers at once, and LiteLLM behind it."""
    folder = tmp_path_factory.mktemp("gateway")
    upstream, clients, internal = (free_port() for _ in range(3))
    (folder / "table.json").write_bytes(encode(_table(f"http://127.0.0.1:{upstream}")))
    (folder / "credentials").mkdir()
    (folder / "credentials" / "mistral").write_text(CREDENTIAL)
    (folder / "litellm.yaml").write_text(f"model_list: []\ngeneral_settings: {{master_key: {MASTER_KEY}}}\n")
    command = [str(PYTHON), "-m", "penstock_gateway", "--host", "127.0.0.1", "--port", str(clients)]
    command += ["--internal-port", str(internal), "--gateway", "team/main", "--pod-uid", "uid", "--linger-seconds", "0"]
    command += ["--table-file", str(folder / "table.json"), "--spool-dir", str(folder / "spool")]
    command += ["--credentials-dir", str(folder / "credentials"), "--litellm-config", str(folder / "litellm.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    quiet = subprocess.DEVNULL
    with (
        subprocess.Popen([sys.executable, "-m", "bench.backend", str(upstream)], cwd=ROOT) as backend,
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=quiet, stderr=quiet) as replica,
        _client(clients, KEY) as outside,
        _client(internal, MASTER_KEY) as inside,
    ):
        try:
            _until_ready(inside)
            yield Gateway(outside, inside, folder / "spool")
        finally:
            replica.terminate()
            assert replica.wait(30) == 0
            backend.terminate()


def _client(port: int, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=90)


def _until_ready(inside: httpx.Client) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            if inside.get("/health/readyz").status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the replica does not get ready")


def test_what_the_backend_speaks_is_forwarded_as_it_came(gateway: Gateway) -> None:
    """Byte for byte, with the reasons in the headers."""
    answer = gateway.chat()
    assert answer.status_code == 200
    assert answer.json()["id"] == "chatcmpl-1"
    assert answer.headers["x-penstock-backend"] == "deployment/team/home"
    assert answer.headers["x-penstock-generation"] == "3"


def test_what_it_does_not_speak_litellm_translates(gateway: Gateway) -> None:
    """With the provider's key, and the price of the table."""
    answer = gateway.chat("hosted")
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].startswith("word ")
    assert answer.json()["usage"]["total_tokens"] == 150
    end = time.monotonic() + 10
    while time.monotonic() < end and not (found := _hosted(gateway)):
        time.sleep(0.1)
    (record,) = found
    assert (record["tokensIn"], record["tokensOut"], record["costMicros"]) == (100, 50, 500)


def _hosted(gateway: Gateway) -> list[dict[str, Any]]:
    """Records of whole answers of the hosted model."""
    return [each for each in gateway.records() if each["backend"].startswith("provider/") and not each["stream"]]


def test_a_translated_stream_ends_as_openais_do(gateway: Gateway) -> None:
    """Every event a chunk, and then the end."""
    lines = [line for line in gateway.chat("hosted", stream=True).text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    words = [json.loads(line.removeprefix("data: "))["choices"] for line in lines[:-1]]
    assert sum(bool(each and each[0]["delta"].get("content")) for each in words) == 10


def test_litellms_own_paths_are_closed_to_clients(gateway: Gateway) -> None:
    """People who run the gateway reach them on the internal port, with LiteLLM's own key."""
    assert gateway.clients.get("/model/info").status_code == 404
    assert gateway.internal.get("/model/info").status_code == 200
    assert gateway.internal.get("/model/info", headers={"Authorization": "Bearer odd"}).status_code in {400, 401}


def test_a_key_that_nobody_knows(gateway: Gateway) -> None:
    """Neither ours nor LiteLLM's master key opens the clients' port."""
    for key in ("odd", MASTER_KEY):
        assert gateway.clients.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 401
