"""What is in the images: nothing to attack with, nothing to write to, nothing secret, and a true list of it all."""

import importlib.util
import json
import re
import tomllib
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

from imagebuild.archive import Archive
from imagebuild.request import IMAGES, ROOT

Archives = Callable[[str], Archive]

FOLDERS = sorted(IMAGES)
_REQUIREMENTS = {"operator": "runtime.txt", "engine": "runtime.txt", "gateway": "gateway.txt"}
_DROPPED = {"gateway": {"polars", "polars-runtime-32", "granian", "pyroscope-io"}}
_SHELL_TOOLS = {"engine": {"sh", "dash", "sleep", "timeout"}}
_OUR_COMMANDS = {"operator": {"penstock"}, "engine": {"vllm"}, "gateway": set()}
_INTERPRETER = re.compile(r"python(3(\.\d+)?)?")
_PACKAGE_TOOLS = {"pip", "setuptools", "ensurepip", "wheel", "hatchling"}
_MEBIBYTES = {"operator": 200, "engine": 200, "gateway": 200}

_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{200,}-----END")
_TOKEN = re.compile(
    rb"\b(?:AKIA[0-9A-Z]{9}(?!EXAMPLE)[0-9A-Z]{7}|gh[pousr]_[A-Za-z0-9]{36}|hf_[A-Za-z]{34}|sk-ant-[A-Za-z0-9_-]{80,})\b"
)
_SECRET_FILES = re.compile(r"/(pip\.conf|\.netrc|\.pypirc|id_[a-z0-9]+|\.env|\.git|\.git/.*|\.npmrc|kubeconfig)$")
_UNCHECKED_HASH = 1
_SCRATCH = "/tmp"  # noqa: S108 - of the image, where an emptyDir is mounted
_SBOM = "/usr/share/penstock/sbom.json"


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def archive(folder: str, archives: Archives) -> Archive:
    return archives(folder)


def test_all_belongs_to_root_and_only_tmp_is_writable(archive: Archive) -> None:
    found = list(archive.entries())
    assert len(found) > 1000
    assert [each.path for each in found if each.info.uid or each.info.gid] == []
    assert [(each.path, oct(each.info.mode)) for each in found if each.writable_by_others] == [(_SCRATCH, "0o1777")]


def test_no_file_gives_rights_and_no_device_is_there(archive: Archive) -> None:
    assert [each.path for each in archive.entries() if each.info.mode & 0o6000] == []
    assert [each.path for each in archive.entries() if each.info.isdev()] == []
    assert [
        each.path for each in archive.entries() if "SCHILY.xattr.security.capability" in each.info.pax_headers
    ] == []


def test_it_runs_as_a_user_without_rights_that_has_a_name(archive: Archive) -> None:
    config = archive.config["config"]
    assert config["User"] == "65532:65532"
    assert not config.get("Volumes")
    assert re.search(rb"^penstock:x:65532:65532:", archive.content("/etc/passwd"), re.MULTILINE)
    assert {"HOME=/tmp", "USER=penstock", "LOGNAME=penstock"} <= set(config["Env"])


def test_every_link_leads_somewhere(archive: Archive) -> None:
    links = {each.path: each.info.linkname for each in archive.entries() if each.info.issym()}
    there = {each.path for each in archive.entries()} - links.keys()
    assert {path for path in links if _resolved(path, links) not in there} == set()


def test_programs_are_the_interpreter_and_its_own_commands(folder: str, archive: Archive) -> None:
    places = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/opt/penstock/bin/")
    names = {PurePosixPath(each.path).name for each in archive.entries() if each.path.startswith(places)}
    rest = {name for name in names if not _INTERPRETER.fullmatch(name)}
    assert rest == _OUR_COMMANDS[folder] | _SHELL_TOOLS.get(folder, set())


def test_the_entry_point_is_there_and_executable(archive: Archive) -> None:
    config = archive.config["config"]
    path = next(each for each in config["Env"] if each.startswith("PATH=")).removeprefix("PATH=").split(":")
    wanted = {f"{place}/{config['Entrypoint'][0]}" for place in path}
    assert [each.path for each in archive.entries() if each.path in wanted and each.info.mode & 0o005 == 0o005]


def test_nothing_that_installs_or_compiles_is_there(archive: Archive) -> None:
    packages = {
        PurePosixPath(each.path).parts[at + 1]
        for each in archive.entries()
        for at, part in enumerate(PurePosixPath(each.path).parts[:-1])
        if part in {"site-packages", "dist-packages"} or part.startswith("python3.")
    }
    assert not packages & _PACKAGE_TOOLS
    assert [each.path for each in archive.entries() if each.path.endswith((".h", ".a", ".pyx", ".c"))] == []
    assert [each.path for each in archive.entries() if each.path.startswith("/var/lib/apt")] == []


def test_no_secret_is_in_any_layer(archive: Archive) -> None:
    for each in archive.entries(contents=True):
        assert not _SECRET_FILES.search(each.path), each.path
        assert not each.path.startswith("/run/"), each.path
        assert not _KEY.search(each.content), each.path
        assert not _TOKEN.search(each.content), each.path


def test_its_history_tells_nothing_of_where_it_was_built(archive: Archive) -> None:
    said = json.dumps(archive.config)
    assert "index-url" not in said
    assert not re.search(r"https?://[^/\s\"]+@", said)
    assert not re.search(r"(?i)_proxy", said)
    assert "/root" not in said


def test_compiled_files_are_of_the_sources_beside_them_and_need_no_check(archive: Archive) -> None:
    sources: dict[str, bytes] = {}
    links: dict[str, str] = {}
    compiled: dict[str, bytes] = {}
    for each in archive.entries(contents=True):
        if each.info.issym() and each.path.endswith(".py"):
            links[each.path] = str(PurePosixPath(each.path).parent / each.info.linkname)
        elif each.path.endswith(".py"):
            sources[each.path] = each.content
        elif each.path.endswith(".pyc"):
            place = PurePosixPath(each.path)
            compiled[str(place.parent.parent / f"{place.name.partition('.')[0]}.py")] = each.content
    assert len(compiled) > 1000
    for path, content in compiled.items():
        assert int.from_bytes(content[4:8], "little") == _UNCHECKED_HASH, path
        assert content[8:16] == importlib.util.source_hash(sources[links.get(path, path)]), path


def test_the_sbom_lists_what_is_installed_and_nothing_else(folder: str, archive: Archive) -> None:
    bom = json.loads(archive.content(_SBOM))
    listed = {(each["name"].lower(), each["version"]) for each in bom["components"] if "pypi" in each["purl"]}
    assert bom["bomFormat"] == "CycloneDX"
    assert listed == _installed(archive)
    wanted = _pinned(_REQUIREMENTS[folder]) - _DROPPED.get(folder, set())
    assert wanted | {"penstock"} == {_normal(name) for name, _ in listed}
    systems = {each["purl"].partition(":")[2].partition("/")[0] for each in bom["components"]}
    assert systems == {"pypi", "deb", "generic"}
    assert {"libc6", "ca-certificates"} <= {each["name"] for each in bom["components"]}


def test_the_sbom_lies_beside_the_archive_too(folder: str, archive: Archive, built: Callable[..., object]) -> None:
    beside = Path(built(folder).sbom)  # type: ignore[attr-defined]
    assert beside.read_bytes() == archive.content(_SBOM)


def test_debian_packages_are_known_to_scanners_and_keep_their_licences(archive: Archive) -> None:
    paths = {each.path for each in archive.entries()}
    status = {path for path in paths if path.startswith("/var/lib/dpkg/status.d/")}
    assert "/var/lib/dpkg/status.d/libc6" in status
    assert {f"/usr/share/doc/{PurePosixPath(path).name}/copyright" for path in status} <= paths


def test_labels_say_what_it_is(folder: str, archive: Archive) -> None:
    labels = archive.config["config"]["Labels"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    prefix = "org.opencontainers.image"
    assert labels[f"{prefix}.version"] == version
    assert labels[f"{prefix}.licenses"] == "Apache-2.0"
    assert labels[f"{prefix}.source"].endswith("penstock-dev/penstock")
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels[f"{prefix}.revision"])
    assert archive.names == (f"{IMAGES[folder]}:{version}",)


def test_it_is_as_small_as_was_asked(folder: str, archive: Archive) -> None:
    assert archive.compressed_bytes < _MEBIBYTES[folder] * 2**20


def test_the_gateway_has_the_edge_and_nothing_of_the_operator(archives: Archives) -> None:
    paths = {each.path for each in archives("gateway").entries()}
    site = next(path for path in paths if path.endswith("/site-packages/penstock_gateway"))
    folder = site.rpartition("/")[0]
    assert {f"{folder}/penstock_policy", f"{folder}/litellm"} <= paths
    assert not {f"{folder}/penstock", f"{folder}/kopf", f"{folder}/kubernetes"} & paths


def test_the_engine_shares_the_layer_of_the_operators_dependencies(archives: Archives) -> None:
    operator, engine = archives("operator"), archives("engine")
    assert operator.config["rootfs"]["diff_ids"][1] == engine.config["rootfs"]["diff_ids"][1]


def _resolved(path: str, links: dict[str, str]) -> str:
    """Where a path leads in the end, links in its folders included; its own where it goes round in circles."""
    found = "/"
    rest = [*PurePosixPath(path).parts[1:]]
    for _ in range(40):
        while rest:
            part = rest.pop(0)
            found = str(PurePosixPath(found).parent if part == ".." else PurePosixPath(found, part))
            if found in links:
                break
        if found not in links:
            return found
        target = PurePosixPath(links[found])
        rest = [*target.parts[target.is_absolute() :], *rest]
        found = "/" if target.is_absolute() else str(PurePosixPath(found).parent)
    return path


def _installed(archive: Archive) -> set[tuple[str, str]]:
    stanzas = (
        Parser().parsestr(each.content.decode(errors="replace"))
        for each in archive.entries(contents=True)
        if each.path.endswith(".dist-info/METADATA")
    )
    return {(str(stanza["Name"]).lower(), str(stanza["Version"])) for stanza in stanzas}


def _pinned(name: str) -> set[str]:
    """The interpreter's version and platform leave nothing of it out: all markers hold on it."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {_normal(line.partition("==")[0].partition("[")[0]) for line in lines if "==" in line and line[0].isalpha()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
