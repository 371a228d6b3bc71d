"""LiteLLM's configuration: what is in it, and that the real LiteLLM starts with it and changes none of its functions.

The latter runs in the gateway's own environment, which `make gateway` makes; without it that test is left out.
"""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.gateway_requests import gateway_request
from penstock.gateways.litellm import render_gateway

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-gateway" / "bin" / "python"

_STARTED = """
import asyncio, json, sys
from pathlib import Path
from penstock_gateway.litellm_proxy import LiteLLMProxy

async def ask(application, method, path, key, body):
    sent = []
    async def receive():
        return {"type": "http.request", "body": json.dumps(body).encode()}
    async def send(message):
        sent.append(message)
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + key.encode())]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
             "raw_path": path.encode(), "query_string": b"", "headers": headers, "scheme": "http",
             "server": ("localhost", 8000), "client": ("127.0.0.1", 1), "root_path": "", "state": {}}
    await application(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()

def settings():
    import litellm
    return {name: getattr(litellm, name) for name in ("drop_params", "modify_params", "num_retries", "request_timeout")}

async def main():
    before, proxy = settings(), LiteLLMProxy(Path(sys.argv[1]))
    unknown = {"model": "openai/dall-e-3", "prompt": "x"}
    told = {
        "models": await ask(proxy, "GET", "/v1/models", "sk-master", {}),
        "stranger": await ask(proxy, "GET", "/v1/models", "sk-of-a-client", {}),
        "unknown": await ask(proxy, "POST", "/v1/images/generations", "sk-master", unknown),
        "before": before,
        "after": settings(),
    }
    await proxy.close()
    print("\\n" + json.dumps(told))

asyncio.run(main())
"""


def configuration() -> str:
    (manifest,) = (each for each in render_gateway(gateway_request()) if each["kind"] == "ConfigMap")
    text = manifest["data"]["config.yaml"]
    assert isinstance(text, str)
    return text


def test_no_key_stands_in_it() -> None:
    """The master key is a variable's name."""
    settings = yaml.safe_load(configuration())
    assert settings["general_settings"]["master_key"] == "os.environ/LITELLM_MASTER_KEY"
    (model,) = settings["model_list"]
    assert model["litellm_params"]["api_key"] == "none"
    assert model["litellm_params"]["api_base"].startswith("http://127.0.0.1:9/")


def test_prompts_stand_in_no_log() -> None:
    assert yaml.safe_load(configuration())["litellm_settings"] == {"turn_off_message_logging": True}


@pytest.mark.soak
@pytest.mark.skipif(not PYTHON.exists(), reason="LiteLLM's environment is missing: `make gateway` makes it")
def test_the_real_litellm_takes_it(tmp_path: Path) -> None:
    """It has no model of its own, lets nobody in but the master, calls no provider that a request names."""
    told = _told(tmp_path)
    status, body = told["models"]
    assert (status, [each["id"] for each in json.loads(body)["data"]]) == (200, ["penstock.nobody"])
    assert told["stranger"][0] in {400, 401, 403}
    assert told["unknown"][0] == 400
    assert "Invalid model name" in told["unknown"][1]
    assert told["before"] == told["after"]


def _told(folder: Path) -> dict[str, Any]:
    """What LiteLLM answers in a process with the variables of the container."""
    (folder / "config.yaml").write_text(configuration())
    (deployment,) = (each for each in render_gateway(gateway_request()) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    stated = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    environment = {
        **stated,
        "PATH": os.defpath,
        "HOME": str(folder),
        "LITELLM_MASTER_KEY": "sk-master",
        "PYTHONPATH": str(ROOT / "operator"),
    }
    command = [str(PYTHON), "-c", _STARTED, str(folder / "config.yaml")]
    ended = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_the_servers_authorities_roll_nothing() -> None:
    """They stand in the ConfigMap alone: pods of one bundle are the pods of another."""
    plain, one, two = (replace(gateway_request(), server_bundle=each) for each in ("", "one", "two"))
    rendered = [{each["kind"]: each for each in render_gateway(request)} for request in (plain, one, two)]
    assert [each["ConfigMap"]["data"].get("ca.crt") for each in rendered] == [None, "one", "two"]
    assert rendered[1]["Deployment"] == rendered[2]["Deployment"]
    arguments = rendered[1]["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[arguments.index("--server-ca-file") + 1] == "/etc/penstock/config/ca.crt"
