"""Builds the images into archives that `ctr images import` and `docker load` take: `python images/build.py`.

With BuildKit and a base made here, as root on Linux; with `--docker` by Docker. What was built is kept: the same files
give the same archive at once, a changed source file only its last layer anew. Progress goes to standard error, results
to standard output.
"""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "e2e"))

from imagebuild.base import ensure_base
from imagebuild.builders import Builder, BuildkitBuilder, DockerBuilder, buildkit, docker, require_buildkit
from imagebuild.errors import ImageError
from imagebuild.request import IMAGES, project_version, request_of
from imagebuild.shelf import Built, Shelf, cache_root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 where an image could not be built."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        built = build(options.images or list(IMAGES), options)
    except ImageError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted; run this again to go on")
        return 128 + signal.SIGINT
    _print(built, options)
    return 0


def build(folders: Sequence[str], options: argparse.Namespace) -> dict[str, Built]:
    """Each image from the cache or anew, one after the other; two runs at once wait for each other."""
    cache = cache_root()
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache), contextlib.ExitStack() as stack:
        shelf, builder = _prepared(cache, options, stack)
        requests = [request_of(folder, options.tag_version) for folder in folders]
        built = {each.folder: shelf.find(each) or shelf.fill(each, builder) for each in requests}
    if options.output:
        built = {folder: _delivered(folder, each, options.output) for folder, each in built.items()}
    return built


def _prepared(
    cache: Path, options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[Shelf, Callable[[], Builder]]:
    """Where finished images are, and what builds others: a daemon starts only when it is asked, and only once."""
    if options.docker:
        by_docker = docker(_say)
        return Shelf(cache, DockerBuilder.kind, "", "gzip"), lambda: by_docker
    require_buildkit()
    base = ensure_base(cache, _say, refresh=options.refresh_base)
    started: list[Builder] = []

    def builder() -> Builder:
        if not started:
            started.append(stack.enter_context(buildkit(cache, base, _say)))
        return started[0]

    return Shelf(cache, BuildkitBuilder.kind, base.digest, options.compression), builder


def _delivered(folder: str, built: Built, output: Path) -> Built:
    """Copies under plain names, the archive as a link where the file system allows one."""
    output.mkdir(parents=True, exist_ok=True)
    tar, sbom = output / f"{folder}.tar", output / f"{folder}.sbom.json"
    tar.unlink(missing_ok=True)
    try:
        os.link(built.tar, tar)
    except OSError:
        shutil.copyfile(built.tar, tar)
    shutil.copyfile(built.sbom, sbom)
    return replace(built, tar=str(tar), sbom=str(sbom))


@contextmanager
def _lock(cache: Path) -> Iterator[None]:
    """Wait for other runs; one that died holds no lock."""
    with (cache / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another run that builds in {cache}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", type=_image, help=f"of {', '.join(IMAGES)}; default: all")
    parser.add_argument("--output", type=Path, metavar="DIR", help="put IMAGE.tar and IMAGE.sbom.json there too")
    parser.add_argument("--tag-version", default=project_version(), metavar="V", help="default: the project's version")
    parser.add_argument("--docker", action="store_true", help="build with Docker, over the base that is named there")
    parser.add_argument("--compression", choices=["gzip", "zstd"], default="gzip", help="of the layers (BuildKit)")
    parser.add_argument("--refresh-base", action="store_true", help="make the base anew, with Debian's updates")
    parser.add_argument("-o", dest="format", choices=["text", "json"], default="text", help="how to print the result")
    return parser


def _image(name: str) -> str:
    if name not in IMAGES:
        message = f"{name} is no image; choose from {', '.join(IMAGES)}"
        raise argparse.ArgumentTypeError(message)
    return name


def _print(built: dict[str, Built], options: argparse.Namespace) -> None:
    if options.format == "json":
        print(json.dumps({folder: asdict(each) for folder, each in built.items()}, indent=2))
        return
    for folder, each in built.items():
        took = "cached" if each.cached else f"{each.seconds:.0f} s"
        print(f"{folder:<10} {each.mib:7.1f} MiB  {took:>8}  {each.name:<48} {each.tar}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
