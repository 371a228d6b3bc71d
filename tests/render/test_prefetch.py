"""A revision's volume is filled once, and its engines start behind it, offline."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.plans import COMMIT, checkpoint, plan
from builders.revisions import CASES, revision_request
from penstock.api.quantities import parse_bytes
from penstock.render.prefetch import prefetch_seconds
from penstock.render.revisions import RenderedRevision, RevisionRequest, render_revision

SECRET = {"name": "hub", "key": "token"}
MIRROR = {"type": "Hub", "hub": {"mirrorURL": "https://hub.example.internal"}}


def volume_request(**spec: Any) -> RevisionRequest:
    return revision_request(plan(), {"weights": {"cache": "Volume"}, **spec})


def only(revision: RenderedRevision, kind: str) -> dict[str, Any]:
    (found,) = (manifest for manifest in revision.manifests if manifest["kind"] == kind)
    return found


def pod(revision: RenderedRevision, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = only(revision, kind)["spec"]["template"]["spec"]
    return found


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_only_a_volume_is_filled_first() -> None:
    for name, request in CASES.items():
        revision = render_revision(request)
        kinds = [manifest["kind"] for manifest in revision.manifests]
        fills = request.deployment.spec.weights.cache == "Volume"
        assert ("Job" in kinds) == fills, name
        assert ("PersistentVolumeClaim" in kinds) == fills, name
        assert ("initContainers" in pod(revision, "Deployment")) == fills, name


def test_job_downloads_the_pinned_revision_with_the_engines_image() -> None:
    revision = render_revision(volume_request())
    (download,) = pod(revision, "Job")["containers"]
    (engine,) = pod(revision, "Deployment")["containers"]
    assert download["image"] == engine["image"]
    assert download["command"][3:6] == ["Qwen/Qwen3-32B-FP8", COMMIT, "/cache/prefetched"]


def test_the_hub_is_asked_by_the_job_alone() -> None:
    revision = render_revision(volume_request(credentialsRef=SECRET, source=MIRROR))
    (download,), (engine,) = pod(revision, "Job")["containers"], pod(revision, "Deployment")["containers"]
    asks = environment(download)
    assert asks["HF_TOKEN"] == {"secretKeyRef": SECRET}
    assert "HF_HUB_OFFLINE" not in asks
    reads = environment(engine)
    assert reads["HF_HUB_OFFLINE"] == "1"
    assert reads["HF_HOME"] == asks["HF_HOME"]
    assert not {"HF_TOKEN", "HF_ENDPOINT"} & reads.keys()


def test_the_mirror_is_the_checkpoints_own() -> None:
    request = volume_request(source=MIRROR)
    weights = checkpoint(source=request.deployment.spec.source)
    planned = replace(request.assignment.plan, checkpoint=weights)
    request = replace(request, assignment=replace(request.assignment, plan=planned))
    (download,) = pod(render_revision(request), "Job")["containers"]
    assert environment(download)["HF_ENDPOINT"] == "https://hub.example.internal"


def test_all_use_the_same_claim() -> None:
    revision = render_revision(volume_request())
    name = only(revision, "PersistentVolumeClaim")["metadata"]["name"]
    for kind in ("Job", "Deployment"):
        (volume,) = (each for each in pod(revision, kind)["volumes"] if each["name"] == "cache")
        assert volume["persistentVolumeClaim"] == {"claimName": name}
    assert only(revision, "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_job_is_bounded_and_stays() -> None:
    spec = only(render_revision(volume_request()), "Job")["spec"]
    assert 1 <= spec["backoffLimit"] <= 10
    assert "ttlSecondsAfterFinished" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_job_stays_in_the_pool_without_its_gpus() -> None:
    revision = render_revision(volume_request())
    assert pod(revision, "Job")["nodeSelector"] == pod(revision, "Deployment")["nodeSelector"]
    assert pod(revision, "Job")["tolerations"] == pod(revision, "Deployment")["tolerations"]
    (download,) = pod(revision, "Job")["containers"]
    assert not any("gpu" in name for name in download["resources"]["limits"])


@pytest.mark.parametrize("weights_bytes", [10**9, 34 * 10**9, 700 * 10**9])
def test_a_replica_is_not_stuck_while_the_volume_is_filled(weights_bytes: int) -> None:
    planned = plan(checkpoint=checkpoint(weights_bytes=weights_bytes))
    revision = render_revision(revision_request(planned, {"weights": {"cache": "Volume"}}))
    (waiting,) = pod(revision, "Deployment")["initContainers"]
    assert int(waiting["command"][1]) == prefetch_seconds(planned) >= weights_bytes / 100e6
    deadline = only(revision, "Deployment")["spec"]["progressDeadlineSeconds"]
    assert deadline > prefetch_seconds(planned) + revision.container.startup_seconds


def test_the_volume_holds_the_weights() -> None:
    claim = only(render_revision(volume_request()), "PersistentVolumeClaim")
    assert parse_bytes(claim["spec"]["resources"]["requests"]["storage"]) > 1.2 * checkpoint().weights_bytes


CHANGES: dict[str, dict[str, Any]] = {
    "credentials": {"credentialsRef": SECRET},
    "size": {"weights": {"cache": "Volume", "size": "500Gi"}},
    "storage class": {"weights": {"cache": "Volume", "storageClassName": "fast"}},
    "tolerations": {"pod": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_cannot_be_changed_gets_a_new_name(change: dict[str, Any]) -> None:
    """A Job's pods and a claim's spec are immutable: applying another one would fail for ever."""
    before, after = render_revision(volume_request()), render_revision(volume_request(**change))
    assert before.name != after.name


def test_replicas_and_nodes_change_nothing_of_the_job() -> None:
    request = volume_request()
    moved = replace(volume_request(replicas=7), assignment=replace(request.assignment, nodes=("node-z",)))
    before, after = render_revision(request), render_revision(moved)
    assert only(before, "Job") == only(after, "Job")
    assert only(before, "PersistentVolumeClaim") == only(after, "PersistentVolumeClaim")


def test_an_attempt_that_hangs_is_given_up() -> None:
    """The first attempt has time for the engine's image as well."""
    planned = volume_request().assignment.plan
    assert pod(render_revision(volume_request()), "Job")["activeDeadlineSeconds"] >= prefetch_seconds(planned) + 600


def hub_with(*files: str, then: str) -> str:
    """A pretend hub library: a repository with these files, and what a download does."""
    return (
        "class HfApi:\n"
        "    def list_repo_files(self, model, *, revision):\n"
        f"        assert (model, revision) == ('Qwen/Qwen3-32B-FP8', '{COMMIT}')\n"
        f"        return {list(files)}\n"
        "def snapshot_download(model, *, revision, ignore_patterns):\n"
        f"    assert (model, revision) == ('Qwen/Qwen3-32B-FP8', '{COMMIT}')\n"
        f"    {then}\n"
    )


def run_download(tmp_path: Path, body: str) -> tuple[int, Path]:
    """Run the Job's program with a pretend hub library."""
    (tmp_path / "huggingface_hub.py").write_text(body)
    marker = tmp_path / "prefetched"
    (download,) = pod(render_revision(volume_request()), "Job")["containers"]
    words = [
        sys.executable,
        *(str(marker) if word == "/cache/prefetched" else word for word in download["command"][1:]),
    ]
    done = subprocess.run(words, env={"PYTHONPATH": str(tmp_path)}, check=False, capture_output=True, timeout=60)
    return done.returncode, marker


def test_download_marks_the_volume_when_everything_is_there(tmp_path: Path) -> None:
    code, marker = run_download(tmp_path, hub_with("model.safetensors", then="assert 'original/*' in ignore_patterns"))
    assert code == 0
    assert marker.exists()


def test_download_that_breaks_marks_nothing(tmp_path: Path) -> None:
    code, marker = run_download(tmp_path, hub_with("model.safetensors", then="raise OSError('hub away')"))
    assert code != 0
    assert not marker.exists()


REPOSITORIES = {
    "shards, and Mistral's own file": (("model.safetensors.index.json", "consolidated.safetensors"), True),
    "one file, and PyTorch's": (("model.safetensors", "pytorch_model.bin"), True),
    "PyTorch's alone": (("pytorch_model-00001-of-00002.bin",), False),
    "Mistral's own file alone": (("consolidated.safetensors", "params.json"), False),
}


@pytest.mark.parametrize(("files", "once"), REPOSITORIES.values(), ids=REPOSITORIES.keys())
def test_weights_are_downloaded_once(files: tuple[str, ...], once: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """The volume is sized for the files that count: a second copy would fill it, and nothing would ever serve."""
    condition = f"assert ({{'consolidated*', 'pytorch_model*'}} <= set(ignore_patterns)) is {once}"
    code, marker = run_download(tmp_path, hub_with(*files, then=condition))
    assert code == 0
    assert marker.exists()


def wait_for(marker: Path) -> int:
    (waiting,) = pod(render_revision(volume_request()), "Deployment")["initContainers"]
    words = ["timeout", "0.2", *waiting["command"][2:-1], str(marker)]
    return subprocess.run(words, check=False, timeout=60).returncode


def test_waiting_ends_with_the_marker_and_not_before(tmp_path: Path) -> None:
    marker = tmp_path / "prefetched"
    assert wait_for(marker) == 124
    marker.touch()
    assert wait_for(marker) == 0
