"""Downloads are taken only with the published checksum; the site is a server on loopback."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from testbed import downloads
from testbed.downloads import Download, download_of, fetch
from testbed.errors import DownloadError, UnreachableError
from testbed.releases import CLUSTER, PROGRAMS, Release

PROGRAM = b"#!/bin/sh\n"


class Site(BaseHTTPRequestHandler):
    """Serves what a test put there."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        """Answer with the file, or 404."""
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def site() -> Iterator[str]:
    """Run the site and tell its address."""
    Site.files = {"/program": PROGRAM, "/program.sha256": hashlib.sha256(PROGRAM).hexdigest().encode()}
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def plain(site: str) -> Download:
    return Download(f"{site}/program", f"{site}/program.sha256", lambda text: text.decode().strip())


def test_a_program_with_its_checksum_is_taken(site: str, tmp_path: Path) -> None:
    target = tmp_path / "program"
    fetch(plain(site), target)
    assert target.read_bytes() == PROGRAM
    assert target.stat().st_mode & 0o111


def test_a_program_is_taken_out_of_its_archive(site: str, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("etcd-v1/etcd")
        member.size = len(PROGRAM)
        archive.addfile(member, io.BytesIO(PROGRAM))
    checksum = hashlib.sha256(packed.getvalue()).hexdigest()
    Site.files = {"/x.tar.gz": packed.getvalue(), "/SUMS": f"{'0' * 64}  other\n{checksum}  x.tar.gz\n".encode()}
    listed = Download(
        f"{site}/x.tar.gz", f"{site}/SUMS", lambda text: downloads._listed(text, "x.tar.gz"), "etcd-v1/etcd"
    )
    fetch(listed, tmp_path / "etcd")
    assert (tmp_path / "etcd").read_bytes() == PROGRAM
    assert [path.name for path in tmp_path.iterdir()] == ["etcd"]


@pytest.mark.parametrize(
    ("files", "want"),
    [
        pytest.param({"/program": b"evil"}, "refused", id="other content"),
        pytest.param({"/program.sha256": b""}, "names no checksum", id="empty checksum"),
        pytest.param({"/program.sha256": b"no checksum at all"}, "refused", id="a page of words"),
    ],
)
def test_anything_else_is_refused(site: str, tmp_path: Path, files: dict[str, bytes], want: str) -> None:
    Site.files |= files
    words = Download(f"{site}/program", f"{site}/program.sha256", lambda text: text.decode().split()[0])
    with pytest.raises(DownloadError, match=want):
        fetch(words, tmp_path / "program")
    assert not list(tmp_path.iterdir())


def test_a_missing_release_is_told(site: str, tmp_path: Path) -> None:
    del Site.files["/program"]
    with pytest.raises(DownloadError, match="404"):
        fetch(plain(site), tmp_path / "program")


def test_a_silent_site_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 does not answer"):
        fetch(plain("http://127.0.0.1:1"), tmp_path / "program")


def test_the_digest_of_an_asset_is_found() -> None:
    text = json.dumps({"assets": [{"name": "a", "digest": "sha256:1"}, {"name": "b", "digest": "sha256:2"}]}).encode()
    assert downloads._asset_digest(text, "b") == "2"


def test_every_program_is_published_for_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "go_platform", lambda: "linux/amd64")
    urls = [download.url for program in PROGRAMS + CLUSTER if (download := download_of(program))]
    assert len(urls) == len(PROGRAMS + CLUSTER)
    assert all(url.startswith("https://") for url in urls)
    assert urls[0] == "https://dl.k8s.io/release/v1.36.3/bin/linux/amd64/kube-apiserver"


def test_prometheus_is_published_under_a_number_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "go_platform", lambda: "linux/arm64")
    monkeypatch.setattr(Release, "version", "v0.312.1")
    promtool = next(program for program in CLUSTER if program.name == "promtool")
    found = download_of(promtool)
    assert found is not None
    assert found.url.endswith("/v3.12.1/prometheus-3.12.1.linux-arm64.tar.gz")
    assert found.member == "prometheus-3.12.1.linux-arm64/promtool"


def test_nothing_is_published_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "go_platform", lambda: "darwin/arm64")
    assert [download_of(program) for program in PROGRAMS] == [None] * len(PROGRAMS)
