"""The pods that penstock renders, from the golden manifests: what containers of them run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from imagebuild.request import ROOT

__all__ = ["GOLDEN", "Rendered", "rendered"]

GOLDEN = ROOT / "tests" / "golden"
_KNOWN_FIELDS = {"metadata.name": "chat-0", "metadata.uid": "0c9d4d5c", "status.podIP": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """One container: its command line with variables put in, its environment without Secrets."""

    argv: tuple[str, ...]
    env: dict[str, str]
    mounts: tuple[str, ...]


def rendered(name: str, kind: str, *, init: bool = False) -> Rendered:
    """The first container of the manifest of that kind, or the first init container."""
    documents = yaml.safe_load_all(Path(GOLDEN / name).read_text())
    pod = next(each for each in documents if each["kind"] == kind)["spec"]["template"]["spec"]
    container = pod["initContainers" if init else "containers"][0]
    env = {each["name"]: value for each in container.get("env", ()) if (value := _value(each))}
    words = [*container["command"], *container.get("args", ())]
    for variable, value in env.items():
        words = [word.replace(f"$({variable})", value) for word in words]
    # As the kubelet does with what penstock writes literally.
    argv = tuple(word.replace("$$", "$") for word in words)
    return Rendered(argv, env, tuple(each["mountPath"] for each in container.get("volumeMounts", ())))


def _value(variable: dict[str, Any]) -> str:
    field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
    return _KNOWN_FIELDS[field] if field else str(variable.get("value", ""))
