"""Log lines of long-running commands, to stderr: one JSON object each, or text for people."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["log_to_stderr"]


def log_to_stderr(form: str, level: str, *, noisy: tuple[str, ...] = ()) -> None:
    """`form` is json or text; loggers of libraries that say too much at INFO are `noisy`."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JSONFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in noisy:
        logging.getLogger(name).setLevel(logging.WARNING)


class _JSONFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message and, where there is one, the traceback."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)
