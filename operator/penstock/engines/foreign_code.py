"""Whether a flag would make the engine load code that is not its image's: the model's own, a plugin, a class by name.

Reserved flags cover what has a flag of its own; this is about the same settings as keys of a JSON value. JSON may
write any letter as an escape, so escapes are resolved first.
"""

import re
from collections.abc import Iterable

__all__ = ["PLUGIN_CURE", "foreign_code"]

PLUGIN_CURE = "Code from outside the image is not loaded"

_REMOTE_CODE = re.compile(r"trust[-_]remote[-_]code", re.IGNORECASE)
_PLUGIN = re.compile(r"[-_]plugin\b|[-_]cls\b|module[-_]path\b|pylogging[-_]config[-_]file", re.IGNORECASE)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def foreign_code(name: str, values: Iterable[str]) -> tuple[str, str] | None:
    """Why the flag is refused and what would work; None for one that loads nothing. `name` may be `flag.key`."""
    texts = [_ESCAPE.sub(lambda match: chr(int(match[1], 16)), value) for value in values]
    key = name.partition(".")[2]
    if any(_REMOTE_CODE.search(text) for text in (key, *texts)):
        return "it would run code of the model's repository", "Use `spec.remoteCode: Allow`"
    documents = [text for text in texts if text.lstrip().startswith(("{", "["))]
    if any(_PLUGIN.search(text) for text in (key, *documents)):
        return "it would load code by a name or a path", PLUGIN_CURE
    return None
