"""Records on disk: nothing waits for them, and what is lost is counted."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from penstock_gateway.metrics import Metrics
from penstock_gateway.records import Record, numbering
from penstock_gateway.spool import Spool


def record(name: str) -> Record:
    return Record(name, 0.0, "c", "r", "u", "b", "p", "chat/completions", stream=False, generation=1, why="")


def names(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


def dropped(spool: Spool, reason: str) -> float | None:
    return spool.metrics.registry.get_sample_value("penstock_gateway_spool_dropped_total", {"reason": reason})


async def test_records_are_written_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Metrics(), period=0.01)
    running = asyncio.create_task(spool.run())
    for number in range(20):
        spool.append(record(str(number)))
        await asyncio.sleep(0.002)
    async with asyncio.timeout(5):
        while len(names(tmp_path)) < 20:
            await asyncio.sleep(0.01)
    running.cancel()
    assert names(tmp_path) == [str(number) for number in range(20)]


async def test_a_full_queue_loses_and_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Metrics(), most_waiting=3)
    for number in range(5):
        spool.append(record(str(number)))
    await spool.flush()
    assert names(tmp_path) == ["0", "1", "2"]
    assert dropped(spool, "QueueFull") == 2


async def test_files_turn_and_the_oldest_is_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Metrics(), file_bytes=1, most_files=3)
    for number in range(5):
        spool.append(record(str(number)))
        await spool.flush()
    assert names(tmp_path) == ["2", "3", "4"]
    assert dropped(spool, "SpoolFull") == 2


async def test_a_disk_that_fails_loses_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file", Metrics())
    spool.append(record("0"))
    await spool.flush()
    assert dropped(spool, "DiskFailed") == 1


def test_identifiers_are_never_given_twice() -> None:
    one, two = numbering(), numbering()
    assert len({*(one() for _ in range(100)), *(two() for _ in range(100))}) == 200


async def test_a_write_that_has_not_begun_when_the_process_ends_is_made(tmp_path: Path) -> None:
    """All threads are busy when the spool is told to end: the lines that it took are on disk nevertheless."""
    spool, busy = Spool(tmp_path, Metrics(), period=0.001), threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
    blocker = asyncio.create_task(asyncio.to_thread(busy.wait))
    running = asyncio.create_task(spool.run())
    spool.append(record("first"))
    async with asyncio.timeout(5):
        while spool._waiting:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.sleep(0.01)
    busy.set()
    await asyncio.wait([running, blocker])
    spool.append(record("last"))
    await spool.flush()
    assert names(tmp_path) == ["first", "last"]
