"""Programs are found, or got whole; Go is played by a shell script."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed import binaries
from testbed.releases import CORE, PROGRAMS, cache_bin

SCRIPT = Path(binaries.__file__)
_GO = """#!/bin/sh
echo "$@" >> "$GO_CALLS"
while [ "$1" != -o ]; do shift; done
{body}
"""
_BUILDS = 'echo "#!/bin/sh" > "$2"; chmod +x "$2"'


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed, not even Go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)


def install_go(tmp_path: Path, body: str = _BUILDS) -> None:
    go = tmp_path / "path" / "go"
    go.parent.mkdir(exist_ok=True)
    go.write_text(_GO.format(body=body))
    go.chmod(0o755)


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o755)
    return path


def run(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--no-download", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def leftovers() -> list[Path]:
    return list(cache_bin().parent.glob("getting-*"))


def test_nothing_is_found_on_an_empty_machine() -> None:
    assert binaries.find() is None


def test_api_server_etcd_and_kubectl_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in CORE:
        executable(tmp_path / "assets" / program.name)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    found = binaries.find()
    assert found is not None
    assert found.etcd == tmp_path / "assets" / "etcd"
    assert found.kwok is None


def test_the_named_folder_goes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in PROGRAMS:
        executable(cache_bin() / program.name)
    named = executable(tmp_path / "assets" / "etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(named.parent))
    found = binaries.find()
    assert found is not None
    assert (found.etcd, found.kubectl) == (named, cache_bin() / "kubectl")


def test_a_file_that_does_not_run_is_not_a_program() -> None:
    for program in CORE:
        executable(cache_bin() / program.name).chmod(0o644)
    assert binaries.find() is None


def test_check_names_what_is_missing_and_gets_nothing(tmp_path: Path) -> None:
    install_go(tmp_path)
    ran = run("--check", "-o", "json", "etcd", "kwok")
    assert ran.returncode == 1
    assert json.loads(ran.stdout) == {"binaries": {}, "missing": ["etcd", "kwok"]}
    assert not cache_bin().exists()


def test_go_builds_once(tmp_path: Path) -> None:
    install_go(tmp_path)
    first, second = run("-o", "json"), run("-o", "json")
    assert [json.loads(ran.stdout)["binaries"]["kwok"]["source"] for ran in (first, second)] == ["build", "cache"]
    assert len((tmp_path / "calls").read_text().splitlines()) == len(PROGRAMS)
    assert run("--check").returncode == 0


def test_kubernetes_is_told_its_version(tmp_path: Path) -> None:
    install_go(tmp_path)
    run("kubectl")
    assert "k8s.io/component-base/version.gitVersion=v1.36.3" in (tmp_path / "calls").read_text()


def test_the_printed_path_is_fit_for_the_environment(tmp_path: Path) -> None:
    install_go(tmp_path)
    assert run("--print-path").stdout.strip() == str(cache_bin())


@pytest.mark.parametrize(
    ("body", "wants"),
    [
        pytest.param(None, ["Go is not installed", "Install Go", "KUBEBUILDER_ASSETS"], id="no Go"),
        pytest.param("echo broken; exit 2", ["exited with 2", "broken"], id="Go fails"),
        pytest.param("echo write: no space left on device; exit 1", ["the disk is full"], id="disk full"),
    ],
)
def test_a_failed_build_says_what_to_do(tmp_path: Path, body: str | None, wants: list[str]) -> None:
    if body is not None:
        install_go(tmp_path, body)
    ran = run("etcd")
    assert ran.returncode == 1
    assert all(want in ran.stderr for want in wants)
    assert "Traceback" not in ran.stderr
    assert not leftovers()


@pytest.mark.parametrize(("number", "want"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_what_was_finished(tmp_path: Path, number: int, want: int) -> None:
    install_go(tmp_path, f'case "$2" in */etcd) echo $$ > "{tmp_path}/pid"; sleep 60;; *) {_BUILDS};; esac')
    command = [sys.executable, str(SCRIPT), "--no-download", "kube-apiserver", "etcd"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.02)
    running.send_signal(number)
    assert running.wait(10) == want
    assert (cache_bin() / "kube-apiserver").exists()
    assert not leftovers()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_two_runs_at_once_build_once(tmp_path: Path) -> None:
    install_go(tmp_path, f"sleep 0.5; {_BUILDS}")
    command = [sys.executable, str(SCRIPT), "--no-download", "etcd"]
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [ran.wait(30) for ran in runs] == [0, 0]
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_what_a_killed_run_left_is_swept_away(tmp_path: Path) -> None:
    install_go(tmp_path)
    (cache_bin().parent / "getting-old").mkdir(parents=True)
    run("etcd")
    assert not leftovers()
