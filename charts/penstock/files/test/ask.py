"""What `helm test` runs: one request, repeated until it is answered as it should be, or the time is up.

`ASK_URL`; `ASK_CA_FILE` to trust; `ASK_MODEL` and `ASK_KEY` for a completion instead of a plain GET; `ASK_SECONDS`.
Only the standard library: it runs in the operator's image, with no key in its arguments.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus

PAUSE_SECONDS = 2.0
ATTEMPT_SECONDS = 60.0


def request() -> urllib.request.Request:
    """What is asked for."""
    url, model = os.environ["ASK_URL"], os.environ.get("ASK_MODEL")
    if not model:
        return urllib.request.Request(url)
    body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "Say hello."}]}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ['ASK_KEY']}"}
    return urllib.request.Request(url, json.dumps(body).encode(), headers)


def problem(status: int, body: bytes) -> str:
    """Why the answer is not the one that was asked for; empty: it is."""
    if not os.environ.get("ASK_MODEL"):
        return "" if status == HTTPStatus.OK else f"status {status}"
    try:
        choices = json.loads(body)["choices"]
        return "" if choices[0]["message"]["content"] is not None else "a completion without content"
    except (ValueError, LookupError, TypeError):
        return f"no completion: {body[:200]!r}"


def attempt() -> str:
    """Ask once; what went wrong, or an empty string."""
    name = os.environ.get("ASK_CA_FILE")
    context = ssl.create_default_context(cafile=name) if name else None
    try:
        with urllib.request.urlopen(request(), timeout=ATTEMPT_SECONDS, context=context) as answer:
            return problem(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read(300)!r}"
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def main() -> int:
    """Ask until it is answered; 1 when the time is up."""
    end = time.monotonic() + float(os.environ.get("ASK_SECONDS", "120"))
    while why := attempt():
        print(f"{os.environ['ASK_URL']}: {why}", flush=True)
        if time.monotonic() > end:
            return 1
        time.sleep(PAUSE_SECONDS)
    print(f"{os.environ['ASK_URL']}: answered", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
