"""Pods of gateways as manifests, and what stands in for the gateway's module in them."""

import base64
from pathlib import Path
from typing import Any

__all__ = ["Objects", "gateway_pod", "gateway_template", "pretended_gateway", "secret"]

Object = dict[str, Any]

_PRETENDED = """
import argparse, http.server, json, os, pathlib, signal, sys, time

parser = argparse.ArgumentParser()
for flag in ("--host", "--gateway", "--pod-uid", "--credentials-dir", "--token", "--exit", "--deaf", "--say"):
    parser.add_argument(flag, default="")
parser.add_argument("--port", type=int, default=8000)
parser.add_argument("--internal-port", type=int, default=8001)
options = parser.parse_args()
if options.say:
    print(options.say, file=sys.stderr)
if options.exit:
    sys.exit(int(options.exit))
if options.deaf:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        files = pathlib.Path(options.credentials_dir or "/nowhere")
        found = {path.name: path.read_text() for path in files.iterdir() if path.is_file()} if files.is_dir() else {}
        told = {"args": sys.argv[1:], "env": dict(os.environ), "files": found, "cwd": os.getcwd()}
        body = json.dumps(told).encode()
        self.send_response(200 if self.path == "/health/readyz" or self.path == "/told" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((options.host, options.internal_port), Handler).serve_forever()
"""


def pretended_gateway(folder: Path) -> Path:
    """A source root whose `penstock_gateway` tells what it was given, and exits or is deaf as its flags say."""
    module = folder / "penstock_gateway"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "__main__.py").write_text(_PRETENDED)
    return folder


class Objects(dict[tuple[str, str, str], Object]):
    """Secrets and ConfigMaps by kind, namespace and name."""

    def add(self, *lives: Object) -> None:
        """Put them there, or others in their place."""
        for live in lives:
            self[live["kind"], live["metadata"]["namespace"], live["metadata"]["name"]] = live

    async def look_up(self, kind: str, namespace: str, name: str) -> Object | None:
        """As a pod's process looks it up."""
        return self.get((kind, namespace, name))


def secret(name: str, **texts: str) -> Object:
    """In namespace `team`."""
    data = {key.replace("_", "-"): base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "team", "name": name}, "data": data}


def gateway_template(*more: str, **fields: Any) -> Object:
    """The spec of a gateway's pod: credentials mounted, identity by the downward API; `fields` are the container's."""
    downward = {"POD_UID": "metadata.uid", "POD_NAME": "metadata.name", "POD_IP": "status.podIP"}
    container = {
        "name": "gateway",
        "image": "penstock-gateway:v1",
        "command": ["python", "-m", "penstock_gateway"],
        "args": [
            *("--gateway", "team/main", "--pod-uid", "$(POD_UID)"),
            *("--credentials-dir", "/etc/penstock/credentials", *more),
        ],
        "env": [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in downward.items()],
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "internal", "containerPort": 8001}],
        "readinessProbe": {"httpGet": {"path": "/health/readyz", "port": "internal"}, "periodSeconds": 0.2},
        "volumeMounts": [{"name": "credentials", "mountPath": "/etc/penstock/credentials", "readOnly": True}],
        **fields,
    }
    return {
        "containers": [container],
        "terminationGracePeriodSeconds": 20,
        "volumes": [{"name": "credentials", "secret": {"secretName": "main-credentials"}}],
    }


def gateway_pod(*more: str, **fields: Any) -> Object:
    """A pod of namespace `team`."""
    metadata = {"namespace": "team", "name": "main-0", "uid": "uid-0", "labels": {"app": "main"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": gateway_template(*more, **fields)}
