"""Write what is made from the charts: the plain manifests, parts of the overlays, and the CRDs inside their chart.

`python tools/render_manifests.py` writes, `--check` compares and says what differs (exit code 1). Helm is needed for
all but the CRDs: the test bed's (`python e2e/testbed/binaries.py helm`), or the PATH's; exit code 2 without it.
"""  # noqa: INP001 - a script, not a package

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "penstock-system"
TEAMS = ["ai-platform", "assistants"]
OVERLAYS: Mapping[str, dict[str, Any]] = {
    "postgresql": {"server": {"postgresql": {"urlSecret": {"name": "penstock-database"}}}},
    "air-gapped": {
        "images": {"registry": "registry.example.internal/penstock"},
        "operator": {"hub": {"enabled": False}},
    },
    "namespaced": {"watchNamespaces": TEAMS, "secretNamespaces": TEAMS},
}
"""Values that say the same as each overlay; a test compares the two."""

_HEADER = "# Rendered from charts/ by tools/render_manifests.py; edit those.\n"
_PLAIN = {"tls": {"mode": "Operator"}}
_OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}

Object = dict[str, Any]


def rendered(helm: Path, chart: str, values: Mapping[str, Any]) -> list[Object]:
    """Objects of a chart, as somebody without Helm applies them."""
    command = [str(helm), "template", "penstock", str(ROOT / "charts" / chart), "--namespace", NAMESPACE]
    ran = subprocess.run(  # noqa: S603 - helm, with our own charts
        [*command, "--skip-tests", "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
    )
    return [_plain(each) for each in yaml.safe_load_all(ran.stdout) if each]


def plain_install(helm: Path, overlay: str = "") -> list[Object]:
    """The namespace, and the chart in it with the values of an overlay."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": dict(_RESTRICTED)}}
    return [namespace, *rendered(helm, "penstock", {**_PLAIN, **OVERLAYS.get(overlay, {})})]


def documents(helm: Path) -> dict[Path, str]:
    """Every file that Helm is needed for."""
    manifests = ROOT / "manifests"
    namespaced = manifests / "kustomize" / "overlays" / "namespaced"
    objects = plain_install(helm, "namespaced")
    roles = [
        each for each in objects if each["kind"] in {"Role", "RoleBinding"} and each["metadata"]["namespace"] in TEAMS
    ]
    (rights,) = (each for each in objects if _name(each) == ("ClusterRole", "penstock-operator"))
    return {
        manifests / "install" / "crds.yaml": _dumped(rendered(helm, "penstock-crds", {})),
        manifests / "install" / "penstock.yaml": _dumped(plain_install(helm)),
        namespaced / "roles.yaml": _dumped(roles),
        namespaced / "cluster-role.yaml": _dumped([rights]),
    }


def crd_copies() -> dict[Path, str]:
    """The CRDs where their chart has them: Helm reads nothing outside a chart."""
    folder = ROOT / "charts" / "penstock-crds" / "files"
    return {folder / path.name: path.read_text() for path in sorted((ROOT / "crds").glob("*.yaml"))}


def differences(wanted: Mapping[Path, str]) -> list[str]:
    """One line per file that is not as it would be written."""
    return [f"{path.relative_to(ROOT)}: differs" for path, text in wanted.items() if _text(path) != text]


def strangers() -> list[Path]:
    """CRDs in the chart that are none of ours any more."""
    return sorted(set((ROOT / "charts" / "penstock-crds" / "files").glob("*")) - set(crd_copies()))


def find_helm() -> Path | None:
    """The test bed's, or the PATH's."""
    sys.path.insert(0, str(ROOT / "e2e"))
    from testbed.binaries import find  # noqa: PLC0415 - its folder is on the path only now

    programs, on_path = find(), shutil.which("helm")
    return (programs.helm if programs else None) or (Path(on_path) if on_path else None)


def _plain(live: Object) -> Object:
    for place in ("labels", "annotations"):
        kept = {key: value for key, value in live["metadata"].get(place, {}).items() if key not in _OF_HELM}
        live["metadata"].pop(place, None)
        if kept:
            live["metadata"][place] = kept
    return live


def _name(live: Object) -> tuple[str, str]:
    return live["kind"], live["metadata"]["name"]


def _dumped(objects: Sequence[Object]) -> str:
    return _HEADER + yaml.safe_dump_all(objects, sort_keys=False, width=120)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Write the manifests that are made from the charts.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where a file differs")
    check = parser.parse_args(argv).check
    helm = find_helm()
    if helm is None:
        sys.stderr.write("there is no helm: install it, or run `python e2e/testbed/binaries.py helm`\n")
        return 2
    if not check:
        _write(crd_copies())
        _write(documents(helm))
        return 0
    stale = [*differences(crd_copies()), *(f"{path.relative_to(ROOT)}: is no CRD of ours" for path in strangers())]
    stale += differences(documents(helm))
    for line in stale:
        sys.stderr.write(f"{line}; run `python tools/render_manifests.py`\n")
    return 1 if stale else 0


def _write(wanted: Mapping[Path, str]) -> None:
    for path in strangers():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
