"""What the kernel says of this machine, and what it would say of a larger one, in the files that the kubelet reads.

The layout is that of /proc/meminfo and /sys/devices/system/node; only the node's own programs see it, containers have
these places of their own. Processors that are not there could be in no container's set: so there are as many memory
nodes as it takes, each of which claims the real processors.
"""

import os
from pathlib import Path

_KIBIBYTES = 1 << 20
"""Of a GiB."""


def available_gib(meminfo: Path = Path("/proc/meminfo")) -> float:
    """The memory of this machine that programs could have now."""
    lines = (line.partition(":") for line in meminfo.read_text().splitlines())
    return next(int(value.split()[0]) / _KIBIBYTES for name, _, value in lines if name == "MemAvailable")


def write(folder: Path, *, cpus: int, memory: int) -> None:
    """Write the files of a machine with so many processors and so many GiB."""
    folder.mkdir()
    total = memory * _KIBIBYTES
    amounts = {"MemTotal": total, "MemFree": total, "MemAvailable": total, "SwapTotal": 0, "SwapFree": 0}
    (folder / "meminfo").write_text("".join(f"{name}: {amount} kB\n" for name, amount in amounts.items()))
    real = sorted(os.sched_getaffinity(0))
    for number, first in enumerate(range(0, cpus, len(real))):
        _memory_node(folder / "node" / f"node{number}", real[: cpus - first])


def _memory_node(node: Path, processors: list[int]) -> None:
    (node / "hugepages").mkdir(parents=True)
    (node / "meminfo").write_text("Node 0 MemTotal: 0 kB\n")
    (node / "distance").write_text("10\n")
    for processor in processors:
        (node / f"cpu{processor}").symlink_to(f"/sys/devices/system/cpu/cpu{processor}")
