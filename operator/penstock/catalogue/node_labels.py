"""Which accelerator a node has, from its labels.

Drivers, labellers, clouds and partitioning spell one product in many ways, so products are matched loosely; what the
labels state of memory must agree, since a label that lies would place a model where it does not fit. A node whose
GPUs are shared or cut is recognised as what it is and left out, with what would help: the planner reckons with whole
GPUs, since slices have no fast links and time slices no memory of their own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock.catalogue.hardware import Accelerator, KnownAccelerator, Vendor, accelerator_table, known_accelerators

__all__ = ["Detection", "detect"]

_MEMORY_TOLERANCE_PERCENT = 6
_MIB_PER_GIB = 1024
_PREFIX = re.compile(r"^((NVIDIA|TESLA|GEFORCE|QUADRO)-)+")
_SUFFIX = re.compile(r"-(SHARED|MIG-.*)$")
_PRODUCT_MEMORY = re.compile(r"(?<![0-9])(\d{2,3})GB")
_COUNTED_DEVICE = re.compile(r"^(?:beta\.)?amd\.com/gpu\.device-id\.([0-9a-fA-F]{4})$")
_MIG_COUNT = re.compile(r"^nvidia\.com/mig-(.+)\.count$")
_MIG_PROFILE = re.compile(r"(\d)g\.(\d{1,3})gb", re.IGNORECASE)
_MIG_COMPUTE_SLICES = 7
_MIG_CURE = "turn MIG off (label nvidia.com/mig.config=all-disabled)"
_SHARING_CURE = "take the sharing out of the device plugin's configuration"
_PARTITION_CURE = "set the compute partition SPX and the memory partition NPS1"
_FORMS = {"SXM": "SXM", "HBM3": "SXM", "PCIE": "PCIe", "NVL": "NVL"}
_SERVER_CHIPS = frozenset({"A100", "H100", "H200"})
_PRODUCT_LABELS = ("nvidia.com/gpu.product", "gpu.nvidia.com/model")
_AMD_PREFIXES = ("amd.com/gpu.", "beta.amd.com/gpu.")
_PARTITION_LABELS = ("compute-memory-partition", "compute-partition")


@dataclass(frozen=True, slots=True)
class Detection:
    """What a node's labels say. Without an accelerator `problem` is the reason, empty where no label says anything.

    `partitioned` is true where GPUs are shared or cut (time slicing, MPS, MIG, compute partitions).
    """

    accelerator: Accelerator | None
    problem: str = ""
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One label and the rows that it may mean."""

    label: str
    value: str
    rows: tuple[KnownAccelerator, ...]


def detect(labels: Mapping[str, str]) -> Detection:
    """The accelerator that all labels agree on; labels that contradict each other or the stated memory name none."""
    partition = _partition(labels)
    if partition:
        said, cure = partition
        return Detection(None, f"{said}, and models are placed on whole GPUs; {cure}", partitioned=True)
    unplanned = _unplanned(labels)
    if unplanned:
        return Detection(None, unplanned)
    sightings = tuple(_sightings(labels))
    if not sightings:
        return Detection(None)
    unknown = next((sighting for sighting in sightings if not sighting.rows), None)
    if unknown is not None:
        return Detection(None, f"label {unknown.label}={unknown.value} names no accelerator that is known")
    agreed = _agreed(sightings)
    if not agreed:
        said = " but ".join(f"{sighting.label}={sighting.value}" for sighting in sightings)
        return Detection(None, f"labels contradict each other: {said}")
    return _checked(labels, sightings[0], agreed)


def _agreed(sightings: Sequence[_Sighting]) -> list[KnownAccelerator]:
    return [row for row in sightings[0].rows if all(row in sighting.rows for sighting in sightings[1:])]


def _checked(labels: Mapping[str, str], sighting: _Sighting, rows: Sequence[KnownAccelerator]) -> Detection:
    """Hold the rows against the memory that the node states; it also decides between sizes of one chip."""
    stated = _stated_memory(labels)
    if stated is None:
        return _only(sighting, rows)
    label, mebibytes = stated
    if mebibytes is None:
        return Detection(None, f"label {label}={labels[label]} is not a size of memory")
    fitting = [row for row in rows if _close(mebibytes, row.spelling.memory_mib)]
    if fitting:
        return _only(sighting, fitting)
    expected = " or ".join(sorted({f"{row.spelling.memory_mib // _MIB_PER_GIB} GiB" for row in rows}))
    said = f"{sighting.label}={sighting.value} means {expected}"
    return Detection(None, f"labels lie: {said}, but {label}={labels[label]} says {mebibytes // _MIB_PER_GIB} GiB")


def _only(sighting: _Sighting, rows: Sequence[KnownAccelerator]) -> Detection:
    if len(rows) == 1:
        return Detection(rows[0].accelerator)
    names = ", ".join(row.accelerator.name for row in rows)
    return Detection(None, f"label {sighting.label}={sighting.value} may mean any of {names}")


def _close(stated: int, known: int) -> bool:
    return abs(stated - known) * 100 <= known * _MEMORY_TOLERANCE_PERCENT


def _partition(labels: Mapping[str, str]) -> tuple[str, str] | None:
    """How the GPUs are shared or cut and what would make them whole, None where they are whole."""
    product = labels.get("nvidia.com/gpu.product", "").upper()
    profile = product.partition("-MIG-")[2] or _mixed_profile(labels)
    if profile:
        return f"its GPUs are cut by MIG{_slice(profile)}", _MIG_CURE
    replicas = labels.get("nvidia.com/gpu.replicas", "1")
    strategy = labels.get("nvidia.com/gpu.sharing-strategy", "none")
    if product.endswith("-SHARED") or strategy not in {"none", ""} or (replicas.isdecimal() and int(replicas) > 1):
        return "its GPUs are shared (time slicing or MPS)", _SHARING_CURE
    mode = _compute_partition(labels)
    return (f"its GPUs are cut into compute partitions ({mode})", _PARTITION_CURE) if mode else None


def _mixed_profile(labels: Mapping[str, str]) -> str:
    """The first profile that the node has any of, under the mixed strategy."""
    counted = ((_MIG_COUNT.match(key), value) for key, value in labels.items())
    return next((match[1] for match, value in counted if match is not None and value != "0"), "")


def _slice(profile: str) -> str:
    """What one slice is: `3g.40gb` has 3 of 7 compute slices and 40 GB."""
    found = _MIG_PROFILE.search(profile)
    if found is None:
        return f" ({profile.lower()})"
    return f" ({found[0].lower()}: {found[1]} of {_MIG_COMPUTE_SLICES} compute slices, {found[2]} GB each)"


def _compute_partition(labels: Mapping[str, str]) -> str:
    for prefix in _AMD_PREFIXES:
        for name in _PARTITION_LABELS:
            mode = labels.get(prefix + name, "spx").lower()
            if not mode.startswith("spx"):
                return mode
    return ""


def _unplanned(labels: Mapping[str, str]) -> str:
    """What is known and never planned, with the reason; the exact label values come first in the table."""
    for row in accelerator_table().unplanned:
        for label, value in row.labels.items():
            if label in labels and value in {"*", labels[label]}:
                return f"label {label}={labels[label]} is {row.name}: {row.reason}"
    return ""


def _sightings(labels: Mapping[str, str]) -> Iterator[_Sighting]:
    """The vendors' own labels first; clouds' labels must agree with them."""
    for label in _PRODUCT_LABELS:
        if label in labels:
            yield _Sighting(label, labels[label], _by_product(labels[label]))
    yield from _amd_sightings(labels)
    yield from _cloud_sightings(labels)


def _by_product(value: str) -> tuple[KnownAccelerator, ...]:
    product = _SUFFIX.sub(
        "", _PREFIX.sub("", value.strip().upper().replace(" ", "-").replace("_", "-").replace("NVLINK", "SXM"))
    )
    rows = [row for row in known_accelerators() if _is_chip(product, row)]
    forms = {form for word, form in _FORMS.items() if word in product}
    if forms:
        rows = [row for row in rows if row.spelling.form in forms]
    elif rows and rows[0].spelling.chip in _SERVER_CHIPS:
        # A bare `H100` or `H200` is what drivers and clouds call the SXM module; the cards name their form.
        rows = [row for row in rows if row.spelling.form == "SXM"]
    return tuple(row for row in rows if _product_memory_agrees(product, row))


def _is_chip(product: str, row: KnownAccelerator) -> bool:
    chip = row.spelling.chip.upper()
    return row.accelerator.vendor is Vendor.NVIDIA and (product == chip or product.startswith(f"{chip}-"))


def _product_memory_agrees(product: str, row: KnownAccelerator) -> bool:
    """`-80GB` in the product decides between sizes; the 480GB of a GH200 is its CPU's."""
    stated = _PRODUCT_MEMORY.search(product)
    if stated is None or row.spelling.chip == "GH200":
        return True
    return _close(int(stated[1]) * _MIB_PER_GIB, row.spelling.memory_mib)


def _amd_sightings(labels: Mapping[str, str]) -> Iterator[_Sighting]:
    """The device id is the dependable one; the product name counts only where there is none."""
    devices = list(_amd_devices(labels))
    for label, device in devices:
        rows = tuple(row for row in known_accelerators() if device.lower() in row.spelling.device_ids)
        yield _Sighting(label, device, rows)
    for prefix in _AMD_PREFIXES:
        label = f"{prefix}product-name"
        if label in labels and not devices:
            words = set(labels[label].upper().split("_"))
            yield _Sighting(label, labels[label], tuple(_by_words(words)))


def _amd_devices(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Plain labels, and the older form that counts devices per id in the label's name."""
    for key, value in labels.items():
        counted = _COUNTED_DEVICE.match(key)
        if counted is not None and value != "0":
            yield key, counted[1]
        elif key in {f"{prefix}device-id" for prefix in _AMD_PREFIXES}:
            yield key, value


def _by_words(words: set[str]) -> Iterator[KnownAccelerator]:
    for row in known_accelerators():
        if words.intersection(row.spelling.products):
            yield row


def _cloud_sightings(labels: Mapping[str, str]) -> Iterator[_Sighting]:
    rows = known_accelerators()
    label = "cloud.google.com/gke-accelerator"
    if label in labels:
        yield _Sighting(label, labels[label], tuple(row for row in rows if labels[label] in row.spelling.gke))
    label = "karpenter.k8s.aws/instance-gpu-name"
    if label in labels:
        yield _Sighting(label, labels[label], tuple(row for row in rows if labels[label] == row.spelling.karpenter))
    label = "node.kubernetes.io/instance-type"
    typed = tuple(row for row in rows if labels.get(label, "") in row.spelling.instance_types)
    if typed:
        # Most instance types say nothing of GPUs, so one that is not listed is no contradiction.
        yield _Sighting(label, labels[label], typed)


def _stated_memory(labels: Mapping[str, str]) -> tuple[str, int | None] | None:
    """The label that states the memory of one GPU and its value in MiB (None: unreadable); None where none does."""
    for label in ("nvidia.com/gpu.memory", "karpenter.k8s.aws/instance-gpu-memory"):
        if label in labels:
            return label, _whole(labels[label])
    for prefix in _AMD_PREFIXES:
        label = f"{prefix}vram"
        if label in labels:
            gibibytes = _whole(labels[label].upper().removesuffix("G"))
            return label, None if gibibytes is None else gibibytes * _MIB_PER_GIB
    return None


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= 9 else None  # noqa: PLR2004 - longer is no GPU's memory
