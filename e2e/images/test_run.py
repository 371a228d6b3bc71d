"""The images' containers run as pods run them: uid 65532, a read-only root, the command lines that penstock renders."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from images.pods import rendered
from images.running import Container

Run = Callable[..., Container]

_ENGINES = ["vllm-claim.yaml", "sglang-image.yaml"]
_METRICS = {"vllm-claim.yaml": "vllm:num_requests_running", "sglang-image.yaml": "sglang:num_running_reqs"}
_SERVED = "http://127.0.0.1:8000"
_USER = 65532
_SCRATCH = "/tmp"  # noqa: S108 - of the container


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A volume as the kubelet hands it over: writable for the pods' group."""
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o2775)
    os.chown(folder, 0, _USER)
    return folder


def test_the_operators_commands_answer(run: Run) -> None:
    for words in (["--version"], ["operator", "--help"], ["server", "--help"], ["crds", f"{_SCRATCH}/crds"]):
        container = run("operator", "penstock", *words)
        assert container.wait() == 0, container.output()
        container.close()


def test_the_server_starts_and_is_ready(run: Run) -> None:
    token = "import pathlib; pathlib.Path('/tmp/token').write_text('t' * 32)"
    start = f"{token}; import sys; from penstock.cli import main; sys.argv[:] = ['penstock', *sys.argv[1:]]; main()"
    flags = ["--database-url", "sqlite:////tmp/server.db", "--operator-token-file", f"{_SCRATCH}/token"]
    container = run("operator", "python3", "-c", start, "server", *flags)
    container.until("http://127.0.0.1:8090/readyz", 200)
    container.signal("TERM")
    assert container.wait(30) == 0, container.output()


def test_nothing_but_tmp_is_writable_for_it(run: Run) -> None:
    script = """
import os, sys
bad = []
for folder, folders, files in os.walk("/", followlinks=False):
    folders[:] = [each for each in folders if os.path.join(folder, each) not in ("/proc", "/sys", "/tmp", "/dev")]
    bad += [folder] if os.access(folder, os.W_OK) else []
sys.exit(", ".join(bad) if bad or os.getuid() != 65532 else 0)
"""
    for folder in ("operator", "gateway", "engine"):
        container = run(folder, "python3", "-c", script)
        assert container.wait() == 0, container.output()


def test_the_gateway_starts_with_litellm_beside_it(run: Run, tmp_path: Path) -> None:
    pod = rendered("gateway-one.yaml", "Deployment")
    configuration = tmp_path / "config"
    configuration.mkdir()
    (configuration / "config.yaml").write_text("general_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY\n")
    tmp_path.chmod(0o755)
    state = tmp_path / "state"
    for name in ("table", "spool"):
        (state / name).mkdir(parents=True)
        (state / name).chmod(0o777)
    mounts = {"/etc/penstock/config": configuration, "/var/lib/penstock": state}
    argv = [*pod.argv]
    del argv[argv.index("--token-file") : argv.index("--token-file") + 2]
    argv[argv.index("--server") + 1] = ""
    env = pod.env | {"LITELLM_MASTER_KEY": "sk-pretend"}
    container = run("gateway", *argv, env=env, mounts=mounts)
    assert container.until("http://127.0.0.1:8001/health/livez", 200).status == 200
    # Without a table it is not ready, and says so; LiteLLM's own routes are up behind the internal port.
    assert container.ask("http://127.0.0.1:8001/health/readyz").status == 503
    container.signal("TERM")
    assert container.wait(60) == 0, container.output()


@pytest.mark.parametrize("manifest", _ENGINES)
def test_an_engine_serves_as_its_rendered_pod_wants_it(run: Run, cache: Path, manifest: str) -> None:
    pod = rendered(manifest, "Deployment")
    container = run("engine", *pod.argv, env=pod.env, mounts={"/cache": cache})
    container.until(f"{_SERVED}/health", 200)
    (model,) = json.loads(container.ask(f"{_SERVED}/v1/models").text)["data"]
    body = {"model": model["id"], "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    answer = container.ask(f"{_SERVED}/v1/chat/completions", body)
    assert answer.status == 200, answer
    assert json.loads(answer.text)["system_fingerprint"] == "chat-0"
    stream = container.ask(f"{_SERVED}/v1/chat/completions", body | {"stream": True})
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert _METRICS[manifest] in container.ask(f"{_SERVED}/metrics").text


@pytest.mark.parametrize("manifest", _ENGINES)
def test_an_engine_finishes_what_it_has_begun_when_it_is_told_to_end(run: Run, cache: Path, manifest: str) -> None:
    pod = rendered(manifest, "Deployment")
    container = run("engine", *pod.argv, env=pod.env, mounts={"/cache": cache})
    container.until(f"{_SERVED}/health", 200)
    model = json.loads(container.ask(f"{_SERVED}/v1/models").text)["data"][0]["id"]
    script = f"""
import json, os, signal, threading, time, urllib.request
body = {{"model": {model!r}, "messages": [{{"role": "user", "content": "x"}}], "max_tokens": 100, "ignore_eos": True}}
request = urllib.request.Request("{_SERVED}/v1/chat/completions", json.dumps(body).encode())
request.add_header("Content-Type", "application/json")
threading.Timer(0.7, lambda: os.kill(1, signal.SIGTERM)).start()
answer = json.load(urllib.request.urlopen(request, timeout=30))
print(answer["usage"]["completion_tokens"])
"""
    done = container.execute("python3", "-c", script)
    assert done.stdout.strip() == b"100", done.stderr
    assert container.wait(30) == 0, container.output()


def test_a_prefetch_job_fills_the_volume_that_the_engine_waits_for(run: Run, cache: Path) -> None:
    waiting = rendered("sglang-volume.yaml", "Deployment", init=True)
    job = rendered("sglang-volume.yaml", "Job")
    waiter = run("engine", *waiting.argv, mounts={"/cache": cache})
    time.sleep(1)
    assert waiter.process.poll() is None, waiter.output()
    download = run("engine", *job.argv, env=job.env, mounts={"/cache": cache})
    assert download.wait() == 0, download.output()
    assert waiter.wait(30) == 0, waiter.output()
