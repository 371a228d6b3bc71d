"""Write the dashboards into the chart; with `--check` end with status 1 where one is not as it would be written."""

import argparse
import json
import sys
from pathlib import Path

from tools.dashboards.deployment import DEPLOYMENT
from tools.dashboards.fleet import FLEET
from tools.dashboards.gateway import GATEWAY
from tools.dashboards.model import Dashboard
from tools.dashboards.operator import OPERATOR

_DASHBOARDS = (FLEET, DEPLOYMENT, GATEWAY, OPERATOR)
_FOLDER = Path(__file__).parents[2] / "charts" / "penstock" / "files" / "dashboards"


def _text(dashboard: Dashboard) -> str:
    return json.dumps(dashboard.json(), indent=1, ensure_ascii=False) + "\n"


def _is_written(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> int:
    """Write or compare; the folder is the chart's unless another is named."""
    parser = argparse.ArgumentParser(prog="python -m tools.dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--folder", type=Path, default=_FOLDER)
    arguments = parser.parse_args()
    texts = {arguments.folder / f"{each.name}.json": _text(each) for each in _DASHBOARDS}
    stale = [path for path, text in texts.items() if not _is_written(path, text)]
    for path in stale:
        sys.stderr.write(f"{path.name} is not as the code has it: run `python -m tools.dashboards`\n" * arguments.check)
    if not arguments.check:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    return int(arguments.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
