"""Log lines that machines read."""

import json
import logging
import sys

import pytest

from penstock.cli.logs import log_to_stderr


def forget_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root logger as a new process has it; pytest's handlers and level come back after the test."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)


def test_one_object_per_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracebacks included."""
    forget_handlers(monkeypatch)
    log_to_stderr("json", "info")
    log = logging.getLogger("penstock.test")
    log.debug("not this")
    log.info("two\nlines %s", 7)
    try:
        sys.exit("no")
    except SystemExit:
        log.exception("broke")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("info", "penstock.test", "two\nlines 7")
    assert first["time"].endswith("+00:00")
    assert "SystemExit: no" in second["error"]


def test_text_for_people_and_quiet_libraries(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only warnings of those that are noisy."""
    forget_handlers(monkeypatch)
    log_to_stderr("text", "debug", noisy=("penstock.noisy",))
    logging.getLogger("penstock.noisy").info("chatter")
    logging.getLogger("penstock.noisy").warning("listen")
    said = capsys.readouterr().err
    assert said.rstrip().endswith("WARNING listen")
    assert "chatter" not in said
