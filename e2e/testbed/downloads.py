"""Programs from their projects' official download sites, checked against the checksums published there.

Nothing is retried and a site that does not answer at once counts as absent: Go can build the same programs.
"""

import errno
import hashlib
import http.client
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from testbed.errors import DownloadError, UnreachableError
from testbed.releases import (
    BUILDKIT,
    COREDNS,
    ETCD,
    HELM,
    KUBERNETES,
    KWOK,
    PROMETHEUS,
    Program,
    Release,
    go_platform,
)

ANSWER_WITHIN = 5.0
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Download:
    """Where a program is published, and where and in which form its checksum is."""

    url: str
    checksum_url: str
    read_checksum: Callable[[bytes], str]
    member: str | None = None
    """The path inside the archive, where the download is one."""

    @property
    def site(self) -> str:
        """The host that it comes from."""
        return urlsplit(self.url).netloc


def download_of(program: Program) -> Download | None:
    """Find where a program is published for this machine; None where it is not."""
    system, _, architecture = go_platform().partition("/")
    if system != "linux":  # the projects publish server programs for Linux only
        return None
    publisher = _PUBLISHERS.get(program.release)
    return publisher(program.name, program.release.version, architecture) if publisher else None


def _kubernetes(name: str, version: str, architecture: str) -> Download:
    url = f"https://dl.k8s.io/release/{version}/bin/linux/{architecture}/{name}"
    return Download(url, f"{url}.sha256", lambda text: text.decode().split()[0])


def _etcd(name: str, version: str, architecture: str) -> Download:
    folder = f"https://github.com/etcd-io/etcd/releases/download/{version}"
    stem = f"etcd-{version}-linux-{architecture}"
    archive = f"{stem}.tar.gz"
    return Download(
        f"{folder}/{archive}", f"{folder}/SHA256SUMS", lambda text: _listed(text, archive), f"{stem}/{name}"
    )


def _kwok(name: str, version: str, architecture: str) -> Download:
    return _asset("kubernetes-sigs/kwok", version, f"{name}-linux-{architecture}", None)


def _buildkit(name: str, version: str, architecture: str) -> Download:
    return _asset("moby/buildkit", version, f"buildkit-{version}.linux-{architecture}.tar.gz", f"bin/{name}")


def _asset(repository: str, version: str, asset: str, member: str | None) -> Download:
    """Where no checksum file is published: the digest that the site itself keeps of each asset stands in."""
    return Download(
        f"https://github.com/{repository}/releases/download/{version}/{asset}",
        f"https://api.github.com/repos/{repository}/releases/tags/{version}",
        lambda text: _asset_digest(text, asset),
        member,
    )


def _coredns(name: str, version: str, architecture: str) -> Download:
    folder = f"https://github.com/coredns/coredns/releases/download/{version}"
    url = f"{folder}/coredns_{version.removeprefix('v')}_linux_{architecture}.tgz"
    return Download(url, f"{url}.sha256", lambda text: text.decode().split()[0], name)


def _helm(name: str, version: str, architecture: str) -> Download:
    url = f"https://get.helm.sh/helm-{version}-linux-{architecture}.tar.gz"
    return Download(url, f"{url}.sha256sum", lambda text: text.decode().split()[0], f"linux-{architecture}/{name}")


def _prometheus(name: str, version: str, architecture: str) -> Download:
    # Its Go module v0.312.0 is its release 3.12.0.
    _, minor, patch = version.split(".")
    released = f"{int(minor) // 100}.{int(minor) % 100}.{patch}"
    folder = f"https://github.com/prometheus/prometheus/releases/download/v{released}"
    stem = f"prometheus-{released}.linux-{architecture}"
    archive = f"{stem}.tar.gz"
    sums = f"{folder}/sha256sums.txt"
    return Download(f"{folder}/{archive}", sums, lambda text: _listed(text, archive), f"{stem}/{name}")


_PUBLISHERS: Mapping[Release, Callable[[str, str, str], Download]] = {
    KUBERNETES: _kubernetes,
    ETCD: _etcd,
    KWOK: _kwok,
    COREDNS: _coredns,
    HELM: _helm,
    BUILDKIT: _buildkit,
    PROMETHEUS: _prometheus,
}


def _listed(text: bytes, name: str) -> str:
    return next(line.split()[0] for line in text.decode().splitlines() if line.split()[-1:] == [name])


def _asset_digest(text: bytes, name: str) -> str:
    assets = json.loads(text)["assets"]
    digest = next(str(asset["digest"]) for asset in assets if asset["name"] == name)
    return digest.removeprefix("sha256:")


def fetch(download: Download, target: Path) -> None:
    """Download one program to a file, or leave no such file."""
    expected = _checksum(download)
    raw = target.with_name(f"{target.name}.download")
    try:
        _verify(_save(download.url, raw), expected, download.url)
        _unpack(raw, target, download.member)
    except (tarfile.TarError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise  # the disk's fault, and Go would need even more of it
        message = f"{download.url}: {error}"
        raise DownloadError(message) from error
    finally:
        raw.unlink(missing_ok=True)
    target.chmod(0o755)


def _checksum(download: Download) -> str:
    with _open(download.checksum_url) as answer:
        text = answer.read()
    try:
        return download.read_checksum(text).lower()
    except (StopIteration, IndexError, LookupError, TypeError, ValueError) as error:
        message = f"{download.checksum_url} names no checksum for {download.url}"
        raise DownloadError(message) from error


def _save(url: str, raw: Path) -> str:
    digest = hashlib.sha256()
    with _open(url) as answer, raw.open("wb") as file:
        while block := answer.read(_READ):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _open(url: str) -> IO[bytes]:
    try:
        return cast("IO[bytes]", urllib.request.urlopen(url, timeout=ANSWER_WITHIN))  # noqa: S310 (https by construction)
    except urllib.error.HTTPError as error:
        message = f"{url}: {error.code} {error.reason}"
        raise DownloadError(message) from error
    except (OSError, http.client.HTTPException) as error:
        message = f"{urlsplit(url).netloc} does not answer: {getattr(error, 'reason', error)}"
        raise UnreachableError(message) from error


def _verify(actual: str, expected: str, url: str) -> None:
    if actual != expected:
        message = f"{url}: SHA-256 is {actual}, published is {expected}; refused"
        raise DownloadError(message)


def _unpack(raw: Path, target: Path, member: str | None) -> None:
    if member is None:
        raw.rename(target)
        return
    with tarfile.open(raw) as archive:
        source = archive.extractfile(member)
        if source is None:
            raise KeyError(member)
        with target.open("wb") as file:
            while block := source.read(_READ):
                file.write(block)
