"""The script of `helm test`: it asks as it should, and an answer that is none fails it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from builders.charts import CHARTS, named, render

SCRIPT = CHARTS / "penstock" / "files" / "test" / "ask.py"
KEY = "psk_pretend"
COMPLETION = {"choices": [{"message": {"role": "assistant", "content": "Hello."}}]}


@dataclass
class Asked:
    """What came: path, key and body; `answers` are given one after the other, the last one for ever."""

    answers: list[tuple[int, object]]
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    def next(self) -> tuple[int, object]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def upstream(*answers: tuple[int, object]) -> Iterator[tuple[str, Asked]]:
    asked = Asked(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.requests.append((self.command, self.path, self.headers.get("Authorization", ""), body))
            status, content = asked.next()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_POST: Callable[["Handler"], None] = do_GET  # noqa: N815 - the library calls it by this name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.read_text().replace("PAUSE_SECONDS = 2.0", "PAUSE_SECONDS = 0.01")],
        env={**plain, "ASK_URL": url, "ASK_SECONDS": "0.3", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_readiness_is_waited_for() -> None:
    with upstream((503, {}), (200, {})) as (url, asked):
        ran = ask(f"{url}/readyz", ASK_SECONDS="20")
    assert ran.returncode == 0, ran.stdout
    assert [path for _, path, _, _ in asked.requests] == ["/readyz", "/readyz"]


def test_a_completion_is_asked_for_with_the_key() -> None:
    with upstream((200, COMPLETION)) as (url, asked):
        ran = ask(f"{url}/v1/chat/completions", ASK_MODEL="chat", ASK_KEY=KEY)
    assert ran.returncode == 0, ran.stdout
    ((method, _, authorization, body),) = asked.requests
    assert (method, authorization) == ("POST", f"Bearer {KEY}")
    assert json.loads(body)["model"] == "chat"
    assert KEY not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (503, {}),
        (401, {"error": "no"}),
        (200, {"choices": []}),
        (200, []),
        (200, {"choices": [{"message": {"content": None}}]}),
    ],
)
def test_no_completion_fails(status: int, content: object) -> None:
    with upstream((status, content)) as (url, _):
        ran = ask(url, ASK_MODEL="chat", ASK_KEY=KEY)
    assert ran.returncode == 1
    assert url in ran.stdout


def test_nobody_there_fails() -> None:
    ran = ask("http://127.0.0.1:1/readyz")
    assert ran.returncode == 1
    assert "URLError" in ran.stdout


def test_the_pods_ask_this_script_with_the_key_from_the_secret() -> None:
    place = {
        "name": "main",
        "namespace": "ai-platform",
        "model": "chat",
        "keySecret": {"name": "bot", "namespace": "apps"},
    }
    objects = render({"test": {"gateway": place}})
    server, gateway = (named(objects, "Pod", f"penstock-test-{each}") for each in ("server", "gateway"))
    for pod in (server, gateway):
        (container,) = pod["spec"]["containers"]
        assert container["args"] == [SCRIPT.read_text()]
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    environment = {each["name"]: each for each in gateway["spec"]["containers"][0]["env"]}
    assert gateway["metadata"]["namespace"] == "apps"
    assert environment["ASK_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "bot", "key": "api-key"}}
    assert environment["ASK_URL"]["value"] == "http://main-gateway.ai-platform.svc:8000/v1/chat/completions"
    asked = {each["name"]: each.get("value") for each in server["spec"]["containers"][0]["env"]}
    assert asked["ASK_CA_FILE"] == "/etc/penstock/server-ca/ca.crt"
