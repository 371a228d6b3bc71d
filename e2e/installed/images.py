"""Our images on the nodes, under the names that the chart and the plans ask for, and once more as an older release."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from level3.cluster import Cluster
from penstock import __version__

__all__ = ["OLDER", "Images"]

OLDER = "0.0.9"
"""The same content under another tag: what is upgraded from where no older chart has landed."""

_ROOT = Path(__file__).resolve().parents[2]
_BUILD = _ROOT / "images" / "build.py"
_REPOSITORIES = {
    "operator": "ghcr.io/penstock-dev/penstock",
    "gateway": "ghcr.io/penstock-dev/gateway",
    "engine": "ghcr.io/penstock-dev/simulated-engine",
}
_ENGINES = ("vllm/vllm-openai:v0.33.0", "lmsysorg/sglang:v0.5.23")


@dataclass(frozen=True, slots=True)
class Images:
    """The tar of each, and its compressed size in MiB."""

    tars: dict[str, Path]
    sizes: dict[str, float]

    @classmethod
    def built(cls, folder: Path) -> Self:
        """By `images/build.py`, which is quick where nothing has changed."""
        command = [sys.executable, str(_BUILD), *_REPOSITORIES, "--output", str(folder / "images"), "-o", "json"]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        built: dict[str, dict[str, Any]] = json.loads(said)
        return cls(
            {name: Path(each["tar"]) for name, each in built.items()},
            {name: float(each["mib"]) for name, each in built.items()},
        )

    def put_on(self, cluster: Cluster) -> None:
        """Where their pods can come: engines to nodes with GPUs, all else to the others. No registry is asked."""
        gpu = [name for name in cluster.nodes if name.startswith("gpu")]
        for name, tar in self.tars.items():
            repository = _REPOSITORIES[name]
            tags = [f"{repository}:{__version__}", f"{repository}:{OLDER}"]
            if name == "engine":
                cluster.import_image(tar, [*tags, *_ENGINES], gpu)
            else:
                cluster.import_image(tar, tags, [each for each in cluster.nodes if each not in gpu])
