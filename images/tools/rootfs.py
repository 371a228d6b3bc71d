"""Collects the root file system of an image: the interpreter, what its extensions link to, and nothing else.

It runs in the builder stage, over the base image's own files, so the result has no shell, package manager or compiler.
The packages that the files came from keep their licences and their dpkg status, by which scanners know them.
"""

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

USER = 65532

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr on a Debian with a merged /usr; the loader is looked for through one of them."""

_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "turtle.py",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "sitecustomize.py",
)
_OF_EACH_PACKAGE = ("os.py", "json/__init__.py")
"""Debian splits the library over two packages; one module of each stands for them."""

_NOT_STDLIB = ("site-packages", "dist-packages", "__pycache__", "config-*", "*.a", "_tkinter*", "_test*", "_xxtest*")
_DATA = (
    "/etc/debian_version",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl",
    "/usr/share/zoneinfo",
)
_DATA_PACKAGES = ("base-files", "ca-certificates", "openssl", "tzdata")
_NOT_DATA = ("posix", "right", "private", "misc", "*.tab")

_PASSWD = f"""\
root:x:0:0:root:/:/usr/sbin/nologin
penstock:x:{USER}:{USER}:penstock:/tmp:/usr/sbin/nologin
"""
_GROUP = f"root:x:0:\npenstock:x:{USER}:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"

_LIBRARY = re.compile(r"(?:=>\s+)?(/\S+)\s+\(0x")
_MISSING = re.compile(r"(\S+) => not found")
_ELF = b"\x7fELF"


def main() -> None:
    """Collect into `--output`; exits with 1 where a library is not in the base."""
    options = _parser().parse_args()
    root: Path = options.output
    _links(root)
    programs = [_found(name) for name in options.program]
    copied = [Path(os.path.realpath(_interpreter())), *programs]
    for program in (_interpreter(), *programs):
        _copy(program, root)
    _standard_library(root)
    for library in _libraries([*copied, *_extensions(options.environment), *_extensions(_stdlib())]):
        if not library.is_relative_to(options.environment):
            _copy(library, root)
            copied.append(Path(os.path.realpath(library)))
    _data(root)
    for link in [path for path in root.rglob("*") if path.is_symlink() and not _leads(path, root)]:
        link.unlink()
    _packages([*copied, *(_stdlib() / name for name in _OF_EACH_PACKAGE)], root)
    _accounts(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, required=True, help="the virtual environment that it is for")
    parser.add_argument("--output", type=Path, required=True, help="an empty folder")
    parser.add_argument("--program", action="append", default=[], help="one more program, by its name")
    return parser


def _interpreter() -> Path:
    """What the environment's own link leads to, as it is named there."""
    return Path(sysconfig.get_config_var("BINDIR")) / "python3"


def _stdlib() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def _found(name: str) -> Path:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"--program {name}: not in the base image; choose a base that has it")
    return Path(path)


def _links(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name in _MERGED:
        original = Path("/") / name
        if original.is_symlink():
            (root / name).symlink_to(original.readlink())
            (root / original.readlink()).mkdir(parents=True, exist_ok=True)


def _copy(path: Path, root: Path) -> None:
    """Copy with every link on the way to the file itself, so that it is found under each of its names."""
    while True:
        path = Path(os.path.realpath(path.parent)) / path.name
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            shutil.copy2(path, target, follow_symlinks=False)
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _standard_library(root: Path) -> None:
    """Compiled by the source's hash that nobody checks: times of files differ from build to build."""
    source = _stdlib()
    target = root / source.relative_to("/")
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT, *_NOT_STDLIB))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        target, force=True, quiet=1, stripdir=str(root), prependdir="/", invalidation_mode=mode
    ):
        sys.exit(f"{source}: does not compile")


def _leads(link: Path, root: Path) -> bool:
    """Whether what it points to will be there in the image; Debian links a module of its own into /etc."""
    target = link.readlink()
    return (root / target.relative_to("/") if target.is_absolute() else link.parent / target).exists()


def _extensions(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*.so*")):
        if path.is_file() and not path.is_symlink() and "_tkinter" not in path.name and _is_elf(path):
            yield path


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """What the dynamic loader would load for these, the loader included."""
    found: set[Path] = set()
    for program in programs:
        answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
        if missing := _MISSING.findall(answer.stdout):
            sys.exit(f"{program}: needs {', '.join(missing)}, which the base image does not have")
        found |= {Path(path) for path in _LIBRARY.findall(answer.stdout)}
    return sorted(found)


def _data(root: Path) -> None:
    for path in map(Path, _DATA):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_DATA), dirs_exist_ok=True)
        elif path.exists():
            _copy(path, root)


def _packages(files: Iterable[Path], root: Path) -> None:
    names = {name for path in files if (name := _owner(path))} | {name for name in _DATA_PACKAGES if _status(name)}
    status = root / "var/lib/dpkg/status.d"
    status.mkdir(parents=True)
    for name in sorted(names):
        package = name.partition(":")[0]
        (status / package).write_text(_status(name))
        licence = Path("/usr/share/doc") / package / "copyright"
        if licence.exists():
            target = root / licence.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(licence, target)


def _owner(path: Path) -> str:
    """The package of a file; dpkg knows some by the name from before /usr was merged."""
    for name in (str(path), str(path).removeprefix("/usr")):
        answer = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True, check=False)
        for line in answer.stdout.splitlines():
            if not line.startswith("diversion by "):
                return line.rpartition(": ")[0].partition(",")[0]
    return ""


def _status(package: str) -> str:
    command = ["dpkg-query", "--status", package]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _accounts(root: Path) -> None:
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    if not (root / "etc/nsswitch.conf").exists():
        (root / "etc/nsswitch.conf").write_text(_NSSWITCH)
    for name in ("dev", "proc", "sys", "run", "opt"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)


if __name__ == "__main__":
    main()
