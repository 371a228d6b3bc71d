"""The hub's library as the prefetch Job calls it, for the simulated engine: it asks nobody and downloads nothing.

What a download would leave is there: a snapshot folder in `HF_HOME`, with a config that says what it is.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["HfApi", "snapshot_download"]

_FILES = ("config.json", "model.safetensors")


class HfApi:
    """The client of the hub."""

    def list_repo_files(self, repo_id: str, *, revision: str | None = None) -> list[str]:
        """Every simulated checkpoint has the same two files."""
        _say(f"listing {repo_id} at {revision or 'main'}")
        return list(_FILES)


def snapshot_download(repo_id: str, *, revision: str | None = None, ignore_patterns: Sequence[str] = ()) -> str:
    """Make the folder that a download would fill; OSError where `HF_HUB_OFFLINE` forbids it or it cannot be written."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        message = f"HF_HUB_OFFLINE is 1 and {repo_id} is to be downloaded; leave it out for the prefetch"
        raise OSError(message)
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    snapshot = home / "hub" / f"models--{repo_id.replace('/', '--')}" / "snapshots" / (revision or "main")
    snapshot.mkdir(parents=True, exist_ok=True)
    (snapshot / "config.json").write_text(json.dumps({"simulated": True, "model": repo_id}))
    _say(f"no weights of {repo_id} in {snapshot}, without {' '.join(ignore_patterns) or 'exceptions'}")
    return str(snapshot)


def _say(line: str) -> None:
    print(f"simulated hub: {line}", file=sys.stderr, flush=True)
