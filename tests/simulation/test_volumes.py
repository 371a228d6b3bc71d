"""Folders as the kubelet writes them: exchanged whole, read-only, and waiting for what is missing."""

import base64
from pathlib import Path
from typing import Any

import pytest

from builders.gateway_pods import Objects, secret
from penstock.simulation.volumes import CannotStart, NotThereYet, Volumes

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"namespace": "team", "name": "settings"},
    "data": {"litellm.yaml": "model_list: []"},
    "binaryData": {"blob": base64.b64encode(b"\xff").decode()},
}


@pytest.fixture
def objects() -> Objects:
    """A Secret of two keys and a ConfigMap."""
    found = Objects()
    found.add(secret("keys", mistral="sk-1", version="1"), CONFIG)
    return found


def volumes(folder: Path, objects: Objects, source: dict[str, Any]) -> Volumes:
    """Of a pod with one volume, `v`."""
    spec = {"containers": [{}], "volumes": [{"name": "v", **source}]}
    return Volumes({"metadata": {"namespace": "team", "name": "p"}, "spec": spec}, folder, objects.look_up)


def read(folder: Path) -> dict[str, bytes]:
    """What a process sees that lists the volume."""
    shown = [path for path in folder.rglob("*") if ".." not in str(path.relative_to(folder)) and path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in shown}


SOURCES = {
    "secret": ({"secret": {"secretName": "keys"}}, {"mistral": b"sk-1", "version": b"1"}),
    "config map": ({"configMap": {"name": "settings"}}, {"litellm.yaml": b"model_list: []", "blob": b"\xff"}),
    "items": ({"secret": {"secretName": "keys", "items": [{"key": "mistral", "path": "key"}]}}, {"key": b"sk-1"}),
    "projected": (
        {
            "projected": {
                "sources": [
                    {"secret": {"name": "keys", "items": [{"key": "version", "path": "v"}]}},
                    {"configMap": {"name": "settings", "items": [{"key": "litellm.yaml", "path": "y"}]}},
                ]
            }
        },
        {"v": b"1", "y": b"model_list: []"},
    ),
    "optional": ({"secret": {"secretName": "nobody", "optional": True}}, {}),
    "optional key": (
        {"secret": {"secretName": "keys", "optional": True, "items": [{"key": "none", "path": "n"}]}},
        {},
    ),
    "scratch": ({"emptyDir": {}}, {}),
}


@pytest.mark.parametrize(("source", "want"), SOURCES.values(), ids=SOURCES)
async def test_each_kind_of_volume(
    source: dict[str, Any], want: dict[str, bytes], tmp_path: Path, objects: Objects
) -> None:
    await volumes(tmp_path, objects, source).refresh()
    assert read(tmp_path / "v") == want


async def test_a_key_may_lie_in_a_folder(tmp_path: Path, objects: Objects) -> None:
    items = [{"key": "mistral", "path": "providers/mistral"}]
    await volumes(tmp_path, objects, {"secret": {"secretName": "keys", "items": items}}).refresh()
    assert (tmp_path / "v" / "providers" / "mistral").read_text() == "sk-1"


async def test_content_is_for_reading_by_its_owner(tmp_path: Path, objects: Objects) -> None:
    await volumes(tmp_path, objects, {"secret": {"secretName": "keys"}}).refresh()
    assert (tmp_path / "v" / "mistral").stat().st_mode & 0o777 == 0o400


async def test_a_change_comes_whole_and_leaves_no_rest(tmp_path: Path, objects: Objects) -> None:
    """Keys that are gone are gone, and so is the version before."""
    made = volumes(tmp_path, objects, {"secret": {"secretName": "keys"}})
    await made.refresh()
    objects.add(secret("keys", openai="sk-2", version="2"))
    await made.refresh()
    assert read(tmp_path / "v") == {"openai": b"sk-2", "version": b"2"}
    assert sorted(path.name for path in (tmp_path / "v").iterdir() if not path.is_symlink()) == [
        (tmp_path / "v" / "..data").resolve().name
    ]


async def test_one_rename_exchanges_every_file(
    tmp_path: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the rename of `..data` the old content is whole."""
    made = volumes(tmp_path, objects, {"secret": {"secretName": "keys"}})
    await made.refresh()
    objects.add(secret("keys", mistral="sk-2", version="2"))
    seen: list[dict[str, bytes]] = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        seen.append(read(tmp_path / "v"))
        done = real(self, target)
        seen.append(read(tmp_path / "v"))
        return done

    monkeypatch.setattr(Path, "replace", replace)
    await made.refresh()
    assert seen == [{"mistral": b"sk-1", "version": b"1"}, {"mistral": b"sk-2", "version": b"2"}]


async def test_what_did_not_change_is_not_written_again(tmp_path: Path, objects: Objects) -> None:
    made = volumes(tmp_path, objects, {"secret": {"secretName": "keys"}})
    await made.refresh()
    before = (tmp_path / "v" / "..data").resolve()
    await made.refresh()
    assert (tmp_path / "v" / "..data").resolve() == before


async def test_scratch_space_keeps_what_was_written(tmp_path: Path, objects: Objects) -> None:
    made = volumes(tmp_path, objects, {"emptyDir": {}})
    await made.refresh()
    (tmp_path / "v" / "table.json").write_text("{}")
    await made.refresh()
    assert read(tmp_path / "v") == {"table.json": b"{}"}


async def test_what_is_mounted_outlives_the_secret(tmp_path: Path, objects: Objects) -> None:
    made = volumes(tmp_path, objects, {"secret": {"secretName": "keys"}})
    await made.refresh()
    objects.clear()
    await made.refresh()
    assert (tmp_path / "v" / "mistral").read_text() == "sk-1"


WAITS = {
    "no secret": ({"secret": {"secretName": "nobody"}}, 'volume "v": secret "team/nobody" not found'),
    "no config map": ({"configMap": {"name": "nobody"}}, 'configmap "team/nobody" not found'),
    "no key": ({"secret": {"secretName": "keys", "items": [{"key": "none", "path": "n"}]}}, "has no key none"),
}


@pytest.mark.parametrize(("source", "want"), WAITS.values(), ids=WAITS)
async def test_what_is_missing_is_waited_for(
    source: dict[str, Any], want: str, tmp_path: Path, objects: Objects
) -> None:
    with pytest.raises(NotThereYet, match=want):
        await volumes(tmp_path, objects, source).refresh()


REFUSED = {
    "unknown": ({"hostPath": {"path": "/"}}, r"volumes\[v\]: hostPath is not played; use secret"),
    "outside": (
        {"secret": {"secretName": "keys", "items": [{"key": "mistral", "path": "a/../../b"}]}},
        "no path below",
    ),
    "absolute": ({"secret": {"secretName": "keys", "items": [{"key": "mistral", "path": "/etc/b"}]}}, "no path below"),
    "links": ({"secret": {"secretName": "keys", "items": [{"key": "mistral", "path": "..data"}]}}, "no path below"),
}


@pytest.mark.parametrize(("source", "want"), REFUSED.values(), ids=REFUSED)
async def test_what_is_not_played_is_refused(
    source: dict[str, Any], want: str, tmp_path: Path, objects: Objects
) -> None:
    with pytest.raises(CannotStart, match=want):
        await volumes(tmp_path, objects, source).refresh()


async def test_a_broken_value_is_not_told(tmp_path: Path, objects: Objects) -> None:
    objects.add({**secret("keys"), "data": {"mistral": "sk-plain!"}})
    with pytest.raises(CannotStart, match="no base64") as caught:
        await volumes(tmp_path, objects, {"secret": {"secretName": "keys"}}).refresh()
    assert "sk-plain" not in str(caught.value)


async def test_keys_are_in_no_representation(tmp_path: Path, objects: Objects) -> None:
    made = volumes(tmp_path, objects, {"secret": {"secretName": "keys"}})
    await made.refresh()
    assert "sk-1" not in repr(made)


def test_mounts_know_their_folders(tmp_path: Path, objects: Objects) -> None:
    made = volumes(tmp_path, objects, {"emptyDir": {}})
    mounts = [{"name": "v", "mountPath": "/var"}, {"name": "v", "mountPath": "/var/lib/", "subPath": "lib"}]
    assert made.mounts({"volumeMounts": mounts}) == {"/var/lib": tmp_path / "v" / "lib", "/var": tmp_path / "v"}
    with pytest.raises(CannotStart, match='"w" is no volume of the pod'):
        made.mounts({"volumeMounts": [{"name": "w", "mountPath": "/w"}]})
