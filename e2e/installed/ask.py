"""One completion by a client with a key: `python -m installed.ask URL MODEL --key-file F`; status 0 where it came."""

import argparse
import sys
from pathlib import Path

import httpx

__all__ = ["main"]

_SECONDS = 10.0


def main() -> int:
    """Ask once."""
    parser = argparse.ArgumentParser(prog="python -m installed.ask", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--key-file", type=Path, required=True)
    options = parser.parse_args()
    body = {"model": options.model, "messages": [{"role": "user", "content": "What is a penstock?"}], "max_tokens": 4}
    headers = {"Authorization": f"Bearer {options.key_file.read_text().strip()}"}
    try:
        answer = httpx.post(f"{options.url}/v1/chat/completions", json=body, headers=headers, timeout=_SECONDS)
    except httpx.HTTPError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(answer.text)
    return 0 if answer.status_code == httpx.codes.OK else 1


if __name__ == "__main__":
    sys.exit(main())
