"""Finds the programs of the test bed, or gets them: `python e2e/testbed/binaries.py`.

In this order: the folder that $KUBEBUILDER_ASSETS names, the cache, the projects' official downloads, a build by Go.
Standard library only. Progress goes to standard error, results to standard output.
"""

import argparse
import errno
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

if not __package__:  # run as a script: its own folder is on the path, its package's parent is not
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from testbed.downloads import download_of, fetch
from testbed.errors import BuildError, DownloadError, InstallError, TestbedError, UnreachableError
from testbed.go_build import HEARTBEAT, Progress, build
from testbed.releases import CLUSTER, CORE, PROGRAMS, Program, cache_bin, cache_root

ASSETS = "KUBEBUILDER_ASSETS"
_ROOMY = 5 << 30
"""What a first build by Go needs, in bytes: 0.8 GB of modules, 3.1 GB of objects, the programs."""
_WHAT_TO_DO = (
    "Install Go (the version in e2e/testbed/*/go.mod or newer) or allow the official download sites, and run this "
    f"again; or point {ASSETS} to a folder with kube-apiserver, etcd and kubectl."
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs on this machine; those of controllers and nodes may be missing."""

    kube_apiserver: Path
    etcd: Path
    kubectl: Path
    kube_controller_manager: Path | None = None
    kube_scheduler: Path | None = None
    kwok: Path | None = None
    kubelet: Path | None = None
    kube_proxy: Path | None = None
    coredns: Path | None = None
    helm: Path | None = None
    buildkitd: Path | None = None
    buildctl: Path | None = None
    promtool: Path | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """One program, and where it came from."""

    program: Program
    path: Path
    source: str
    seconds: float = 0.0


def find() -> Binaries | None:
    """Find what is on this machine, without getting anything; None without API server, etcd and kubectl."""
    everything = PROGRAMS + CLUSTER
    found = {program.name.replace("-", "_"): located.path for program in everything if (located := locate(program))}
    if any(program.name.replace("-", "_") not in found for program in CORE):
        return None
    return Binaries(**found)


def locate(program: Program) -> Located | None:
    """Find one program without getting it."""
    if assets := os.environ.get(ASSETS):
        path = Path(assets) / program.name
        if _runs(path):
            return Located(program, path.absolute(), ASSETS)
    path = cache_bin() / program.name
    return Located(program, path, "cache") if _runs(path) else None


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


@dataclass(slots=True)
class Installer:
    """Gets programs into the cache, each one whole or not at all."""

    progress: Progress
    download: bool = True
    _silent_sites: set[str] = field(default_factory=set)

    def install(self, programs: Sequence[Program]) -> list[Located]:
        """Get what is missing; two runs at once do not get it twice."""
        found = [locate(program) for program in programs]
        if all(found):
            return [located for located in found if located]
        cache_bin().mkdir(parents=True, exist_ok=True)
        with _lock(self.progress):
            _sweep()
            return [self._get(program) for program in programs]

    def _get(self, program: Program) -> Located:
        if located := locate(program):
            self.progress(f"{program.name}: {located.path}")
            return located
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="getting-", dir=cache_bin().parent) as folder:
            fresh = Path(folder) / program.name
            source = self._obtain(program, fresh)
            path = fresh.rename(cache_bin() / program.name)
        seconds = time.monotonic() - started
        self.progress(f"{program.name}: {source}, {seconds:.0f} s")
        return Located(program, path, source, round(seconds, 1))

    def _obtain(self, program: Program, target: Path) -> str:
        try:
            if self._downloaded(program, target):
                return "download"
            self.progress(f"{program.name}: building {program.release.version} with Go")
            _mind_the_disk(self.progress)
            build(program, target, self.progress)
        except BuildError as error:
            message = f"{program.name} could not be built: {error}\n{_WHAT_TO_DO}"
            raise InstallError(message) from error
        except OSError as error:
            raise InstallError(_io_reason(program, error)) from error
        return "build"

    def _downloaded(self, program: Program, target: Path) -> bool:
        download = download_of(program) if self.download else None
        if download is None or download.site in self._silent_sites:
            return False
        self.progress(f"{program.name}: downloading {program.release.version} from {download.site}")
        try:
            fetch(download, target)
        except UnreachableError as error:
            self._silent_sites.add(download.site)
            self.progress(f"{program.name}: {error}")
        except DownloadError as error:
            self.progress(f"{program.name}: {error}")
        else:
            return True
        return False


@contextmanager
def _lock(progress: Progress) -> Iterator[None]:
    """Wait for other runs of this tool; a run that died holds no lock."""
    with (cache_root() / "lock").open("a+") as file:
        waited = 0.0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited % HEARTBEAT == 0:
                    progress(f"waiting for another run that fills {cache_root()}, {waited:.0f} s")
                time.sleep(1)
                waited += 1
        yield


def _sweep() -> None:
    """Remove what runs that were killed had begun; under the lock nobody else is getting anything."""
    for leftover in cache_bin().parent.glob("getting-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _mind_the_disk(progress: Progress) -> None:
    free = shutil.disk_usage(cache_root()).free
    if free < _ROOMY:
        progress(f"only {free / 1e9:.1f} GB free at {cache_root()}; a first build needs about {_ROOMY / 1e9:.0f} GB")


def _io_reason(program: Program, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"{program.name}: the disk is full ({cache_root()}). Free about {_ROOMY / 1e9:.0f} GB and run this again; "
            "what was finished is kept."
        )
    return f"{program.name}: {error}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 where something is missing or could not be got."""
    options = _parser().parse_args(argv)
    programs = _wanted(options)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    located = [at for program in programs if (at := locate(program))]
    try:
        if not options.check:
            located = Installer(_say, download=options.download).install(programs)
    except TestbedError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; what was finished is kept, run this again to go on")
        return 128 + signal.SIGINT
    _print(located, programs, options)
    return int(len(located) < len(programs))


def _wanted(options: argparse.Namespace) -> list[Program]:
    """The named ones, else the usual ones, with `--cluster` those of level 3 too."""
    named = [program for program in PROGRAMS + CLUSTER if program.name in options.programs]
    return named or list(PROGRAMS + CLUSTER if options.cluster else PROGRAMS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Find or get the programs of the test bed: from $KUBEBUILDER_ASSETS, the cache, the official "
        "download sites, or built by Go (ten minutes and more on two cores, once).",
    )
    names = ", ".join(program.name for program in PROGRAMS + CLUSTER)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"which ones of {names}")
    parser.add_argument("--cluster", action="store_true", help="also those of level 3: kubelet, Helm, BuildKit, ...")
    parser.add_argument("--check", action="store_true", help="get nothing: say what is missing and exit 1 if anything")
    parser.add_argument("--no-download", dest="download", action="store_false", help="do not ask the download sites")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("-o", "--output", choices=["text", "json"], default="text", help="how to print the result")
    output.add_argument("--print-path", action="store_true", help=f"print only the folder, fit for {ASSETS}")
    return parser


def _print(located: Sequence[Located], programs: Sequence[Program], options: argparse.Namespace) -> None:
    missing = [program.name for program in programs if program not in {at.program for at in located}]
    if options.print_path:
        print(located[0].path.parent if located else cache_bin())
    elif options.output == "json":
        described = {at.program.name: _described(at) for at in located}
        print(json.dumps({"binaries": described, "missing": missing}, indent=2))
    else:
        for at in located:
            print(f"{at.program.name:<24} {at.source:<18} {at.path}")
        for name in missing:
            print(f"{name:<24} missing            run `python e2e/testbed/binaries.py` to get it")


def _described(at: Located) -> dict[str, object]:
    # What $KUBEBUILDER_ASSETS holds is of the user's choosing, at a version unknown here.
    version = None if at.source == ASSETS else at.program.release.version
    return {"path": str(at.path), "source": at.source, "version": version, "seconds": at.seconds}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
