"""Takes out of a virtual environment what nobody runs, compiles the rest, and stages it with fixed times and modes.

What goes: other packages' commands, tests, type stubs, headers, and the patterns that are named on the command line.
"""

import argparse
import compileall
import os
import py_compile
import shutil
import sys
from pathlib import Path

MOMENT = 315532800
"""1980-01-01, the earliest that a zip archive can hold: a layer of the same files is the same layer in every build."""

_TESTS = ("test", "tests", "testing_data")
_TEST_PARENTS_KEPT = frozenset({"numpy"})
_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".h", ".c", ".cpp", ".a", ".map"})


def main() -> None:
    """Trim, compile, stage."""
    options = _parser().parse_args()
    for package in options.environment.glob("lib/python3*/site-packages"):
        _trim(package, options.drop)
        _compile(package)
    _commands(options.environment / "bin", set(options.command))
    for name in ("include", "share", "lib64", ".gitignore"):
        _remove(options.environment / name)
    if options.stage:
        target = options.stage / options.environment.relative_to("/")
        shutil.copytree(options.environment, target, symlinks=True)
    for root in (options.stage, *options.settle):
        if root:
            _settle(root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--command", action="append", default=[], help="a command to keep beside the interpreter")
    parser.add_argument("--drop", action="append", default=[], help="a pattern below site-packages")
    parser.add_argument("--stage", type=Path, help="copy it below this folder, ready to be copied into an image")
    parser.add_argument("--settle", type=Path, action="append", default=[], help="only fix times and modes there")
    return parser


def _trim(packages: Path, patterns: list[str]) -> None:
    for pattern in patterns:
        found = list(packages.glob(pattern))
        if not found:
            sys.exit(f"--drop {pattern}: nothing there; the package has changed, look again")
        for path in found:
            _remove(path)
    for path in [path for name in _TESTS for path in packages.rglob(name)]:
        # `numpy.testing` and the like import what lies in folders of that name.
        if path.is_dir() and path.relative_to(packages).parts[0] not in _TEST_PARENTS_KEPT:
            _remove(path)
    for path in packages.rglob("*"):
        if path.suffix in _SUFFIXES and not path.is_symlink():
            path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _commands(folder: Path, kept: set[str]) -> None:
    if not folder.exists():
        return
    for path in folder.iterdir():
        if path.name not in kept and path.name not in {"python", "python3"}:
            _remove(path)


def _compile(packages: Path) -> None:
    """By the source's hash that nobody checks. Files of templates that are no Python are passed over, as pip does."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(packages, force=True, quiet=2, invalidation_mode=mode, workers=0)


def _settle(root: Path) -> None:
    """One time for all files, and none that anybody but root may write to; /tmp keeps its sticky bit."""
    for path in [root, *root.rglob("*")]:
        os.lchown(path, 0, 0)
        if not path.is_symlink():
            mode = path.stat().st_mode & 0o7777
            path.chmod(mode if path == root / "tmp" else mode & 0o755)
        os.utime(path, (MOMENT, MOMENT), follow_symlinks=False)


if __name__ == "__main__":
    main()
