"""How pip is set up on this machine, for the RUN steps of a build: as secrets, so that no image and no history has it.

An index or a CA bundle of one's own is needed where packages come from a mirror.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CA_SECRET", "PIP_SECRET", "pip_configuration", "secret_files"]

PIP_SECRET = "pip"
CA_SECRET = "ca"

_TAKEN = {
    "index-url": "index-url",
    "extra-index-url": "extra-index-url",
    "trusted-host": "trusted-host",
    "proxy": "proxy",
    "timeout": "timeout",
    "default-timeout": "timeout",
    "retries": "retries",
}
"""What is about reaching an index; local folders of wheels are not in the builder."""
_BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def secret_files(folder: Path) -> dict[str, Path]:
    """Write them into `folder`, readable for this user only; by the names that the Dockerfiles know."""
    listed = _listed()
    settings, bundle = _settings(listed), _bundle(listed, os.environ)
    files = {PIP_SECRET: folder / "pip.conf"}
    files[PIP_SECRET].touch(mode=0o600)
    files[PIP_SECRET].write_text(pip_configuration(settings, with_bundle=bundle is not None))
    if bundle is not None:
        files[CA_SECRET] = bundle
    return files


def pip_configuration(settings: Mapping[str, str], *, with_bundle: bool) -> str:
    """The file that pip reads in the builder; the bundle lies where the build mounts it."""
    lines = [f"{name} = {' '.join(value.split())}" for name, value in settings.items()]
    if with_bundle:
        lines.append(f"cert = /run/secrets/{CA_SECRET}")
    return "\n".join(["[global]", *lines, ""])


def _listed() -> dict[str, str]:
    """What `pip config list` says, the environment last as pip has it; nothing where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, str] = {}
    for line in sorted(answer.stdout.splitlines(), key=lambda line: line.startswith(":env:")):
        name, equals, value = line.partition("=")
        if equals:
            found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return found


def _settings(listed: Mapping[str, str]) -> dict[str, str]:
    return {_TAKEN[name]: value for name, value in listed.items() if name in _TAKEN}


def _bundle(listed: Mapping[str, str], environment: Mapping[str, str]) -> Path | None:
    said = listed.get("cert") or next((environment[name] for name in _BUNDLES if environment.get(name)), "")
    return Path(said) if said and Path(said).is_file() else None
