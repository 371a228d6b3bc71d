"""Writes the CycloneDX SBOM of an image from what is in it: dpkg status, installed distributions, the interpreter."""

import argparse
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import Parser
from importlib.metadata import Distribution, distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from trim import MOMENT

_LONGEST_LICENSE = 100
"""Older packages carry the whole text in that field."""


def main() -> None:
    """Write `--output`."""
    options = _parser().parse_args()
    image = Component(name=options.image, version=options.version, type=ComponentType.CONTAINER, bom_ref=options.image)
    # Neither a random number nor the clock: the same image has the same SBOM.
    serial = uuid5(NAMESPACE_URL, f"{options.image}:{options.version}")
    bom = Bom(components=[*_packages(options.root), *_distributions(options.site)], serial_number=serial)
    bom.metadata.component = image
    bom.metadata.timestamp = datetime.fromtimestamp(MOMENT, UTC)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    JsonV1Dot6(bom).output_to_file(str(options.output), indent=2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--root", type=Path, required=True, help="what rootfs.py collected")
    parser.add_argument("--site", type=Path, action="append", required=True, help="a site-packages folder")
    parser.add_argument("--output", type=Path, required=True)
    return parser


def _packages(root: Path) -> Iterator[Component]:
    for status in sorted((root / "var/lib/dpkg/status.d").iterdir()):
        stanza = Parser().parsestr(status.read_text())
        name, version, architecture = (str(stanza[key]) for key in ("Package", "Version", "Architecture"))
        url = PackageURL("deb", "debian", name, version, {"arch": architecture})
        yield _component(name, version, url)
    python = platform.python_version()
    yield _component("python", python, PackageURL("generic", None, "python", python))


def _distributions(sites: list[Path]) -> Iterator[Component]:
    found = {each.name.lower(): each for each in distributions(path=[str(site) for site in sites])}
    for name in sorted(found):
        each = found[name]
        yield _component(each.name, each.version, PackageURL("pypi", None, name, each.version), _license(each))


def _component(name: str, version: str, url: PackageURL, license_text: str = "") -> Component:
    licenses = [LicenseFactory().make_from_string(license_text)] if license_text else []
    return Component(
        name=name, version=version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string(), licenses=licenses
    )


def _license(distribution: Distribution) -> str:
    metadata = distribution.metadata
    for field in ("License-Expression", "License"):
        if field in metadata and 0 < len(metadata[field]) <= _LONGEST_LICENSE:
            return metadata[field].strip()
    classifiers = metadata.get_all("Classifier") or []
    return next((each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")), "")


if __name__ == "__main__":
    main()
