"""The table that decides: kept, never replaced by a worse one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders.tables import backend, table
from penstock_gateway.live import LiveTable
from penstock_gateway.metrics import Metrics
from penstock_policy.wire import digest_of, encode

GOOD = table(backend("a", "http://a"), generation=5)


def live(folder: Path) -> LiveTable:
    return LiveTable("ai/main", folder / "deep" / "table.json", Metrics())


def later_format() -> bytes:
    return json.dumps({**json.loads(encode(GOOD)), "format": 99}).encode()


async def test_a_table_is_applied_and_outlives_the_process(tmp_path: Path) -> None:
    one, two = live(tmp_path), live(tmp_path)
    assert await one.offer(encode(GOOD))
    assert two.load()
    assert two.generation == 5
    assert one.hash == two.hash == digest_of(GOOD)
    assert one.metrics.registry.get_sample_value("penstock_gateway_table_generation") == 5


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "Malformed"),
        (b"[" * 100_000, "Malformed"),
        (encode(GOOD)[:-20], "Malformed"),
        (encode(GOOD).replace(b"http://a", b"http://b"), "Malformed"),
        (later_format(), "LaterFormat"),
        (encode(GOOD).replace(b'"ai/chat"', b'"\\ud800"'), "Malformed"),
        (encode(replace(GOOD, generation=4)), "OlderGeneration"),
        (encode(replace(GOOD, gateway="ai/other", generation=9)), "OtherGateway"),
    ],
    ids=["empty", "deep", "truncated", "changed", "half a character", "later format", "older", "another gateway's"],
)
async def test_a_worse_table_is_refused(tmp_path: Path, document: bytes, reason: str) -> None:
    """The last one goes on, here and on disk."""
    one = live(tmp_path)
    await one.offer(encode(GOOD))
    assert not await one.offer(document)
    assert one.generation == 5
    assert one.path.read_bytes() == encode(GOOD)
    assert one.metrics.registry.get_sample_value("penstock_gateway_table_refusals_total", {"reason": reason}) == 1


@pytest.mark.parametrize("kept", [b"", b"{}", encode(GOOD)[:100]])
def test_a_broken_file_is_no_table(tmp_path: Path, kept: bytes) -> None:
    one = live(tmp_path)
    assert not one.load()
    one.path.parent.mkdir()
    one.path.write_bytes(kept)
    assert not one.load()
    assert one.index is None


async def test_a_disk_that_fails_does_not_stop_a_table(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file where the folder should be")
    one = live(tmp_path)
    assert await one.offer(encode(GOOD))
    assert one.generation == 5
    assert one.metrics.registry.get_sample_value("penstock_gateway_table_refusals_total", {"reason": "NotKept"}) == 1
