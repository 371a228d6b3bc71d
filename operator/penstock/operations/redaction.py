"""What may leave a cluster in a support bundle. An allow-list for fields; marks for text.

Secrets' data and the managed fields never pass; environment values pass by name; of everything else that is text,
what looks like a credential is replaced. A mark that is too eager costs a word, one that is too shy a key.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["REDACTED", "redact", "redact_text"]

REDACTED = "[redacted]"

_PASSING_ENVIRONMENT = frozenset(
    {
        *("PENSTOCK_LOG_LEVEL", "PENSTOCK_LOG_FORMAT", "PENSTOCK_NAMESPACE", "POD_NAME", "POD_NAMESPACE", "POD_IP"),
        *("POD_UID", "NODE_NAME", "HF_HUB_OFFLINE", "HF_HOME", "VLLM_CACHE_ROOT", "VLLM_PORT", "VLLM_HOST_IP"),
        *("LOGNAME", "USER", "HOME", "LITELLM_LOCAL_MODEL_COST_MAP", "OTEL_SERVICE_NAME"),
    }
)
_DROPPED = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
_SECRET_KINDS = frozenset({"Secret"})
_SECRET_FIELD = re.compile(
    r"^(?:.*[-_])?(?:api[-_]?key|apikey|access[-_]?key|secret[-_]?key|master[-_]?key|client[-_]?secret|password|passwd"
    r"|passphrase|authorization|cookie|credential|private[-_]?key|token|secret)$",
    re.IGNORECASE,
)
_PROMPT_FIELD = re.compile(r"^(?:prompt|prompts|messages|completion|completions|choices|input_text|content)$")

# Each looks at a text once, or a bounded part of it from each place: logs are of many MiB, and not of our writing.
_MARKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A key or certificate, whole.
    (re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL), REDACTED),
    # The end of a key whose beginning a bounded log has lost.
    (re.compile(r"\A.{0,16384}?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL), REDACTED),
    # scheme://user:password@host and scheme://token@host.
    (re.compile(r"\b([a-z][a-z0-9+.-]{1,30}://)[^\s'\"<>]{1,4096}@", re.IGNORECASE), rf"\1{REDACTED}@"),
    (re.compile(r"\b((?:set-)?cookie\s*:\s*)\S.*", re.IGNORECASE), rf"\1{REDACTED}"),
    # Signed URLs, and tokens in a query.
    (
        re.compile(
            r"([?&;](?:[a-z0-9_.-]*(?:token|key|secret|signature|password|credential|sig|code))=)[^\s&#'\"<>]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+[A-Za-z0-9._~+/=:-]{4,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # A prompt or answer in a JSON log line: to the end of its string, list or line.
    (
        re.compile(
            r"""(["']?\b(?:prompt|messages|completion|content|input_text)\b["']?\s*[:=]\s*)"""
            r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[\[{].*|\S.*)""",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # `password=...`, `"api_key": "..."`, `--token ...`, `X-Api-Key: ...`; what stands before the word may be anything.
    (
        re.compile(
            r"""((?:api[-_]?key|access[-_]?key|secret[-_]?key|master[-_]?key|secret|password"""
            r"""|passwd|passphrase|authorization|token|set-cookie|cookie)["']?\s*(?:[:=]\s*|(?<=[a-z])\s+(?=\S*[0-9])))"""
            r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?!\[redacted\])[^\s,;&"'}\])]+)""",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # Tokens that name themselves: ours, OpenAI's and its likes, hubs, clouds, forges, chats, JWTs.
    (
        re.compile(
            r"\b(?:pgw_|pck_|sk-|sk_|rk-|pk-lf-|gsk_|hf_|hf-|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|AIza|ya29\."
            r"|AKIA|ASIA|r8_|nvapi-|tgp_|fw_|dckr_pat_|ant-)[A-Za-z0-9_\-./+=]{6,}"
        ),
        REDACTED,
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,2048}+\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
)


def redact(value: Any) -> Any:
    """A copy of an object without secrets; the same whatever it is called on twice."""
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        return [redact(each) for each in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """Text without what looks like a credential, a prompt or an answer."""
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    return text


def _mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: each for key, each in value.items() if key not in _DROPPED}
    if kept.get("kind") in _SECRET_KINDS:
        kept |= {key: dict.fromkeys(kept[key], REDACTED) for key in ("data", "stringData") if _is_map(kept.get(key))}
    if _is_variable(kept):
        kept["value"] = kept["value"] if kept["name"] in _PASSING_ENVIRONMENT else REDACTED
        return kept
    return {key: _field(key, each) for key, each in kept.items()}


def _field(name: str, value: Any) -> Any:
    """The value of a field, by its name where that says enough: references to Secrets are objects and pass."""
    if isinstance(value, str) and value and _SECRET_FIELD.match(name):
        return REDACTED
    if name in {"args", "command"} and isinstance(value, list):
        return _arguments(value)
    told = isinstance(value, str | list | Mapping) and bool(value)
    return REDACTED if told and _PROMPT_FIELD.match(name) else redact(value)


def _arguments(words: list[Any]) -> list[Any]:
    """A command line: the word after a flag that is called like a secret goes too."""
    found: list[Any] = []
    for before, word in zip([None, *words], words, strict=False):
        flag = before.lstrip("-") if isinstance(before, str) and before.startswith("-") else ""
        found.append(REDACTED if flag and _SECRET_FIELD.match(flag) else redact(word))
    return found


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_variable(value: Mapping[str, Any]) -> bool:
    """An entry of a container's `env` with a value of its own."""
    return (
        set(value) <= {"name", "value"} and isinstance(value.get("name"), str) and isinstance(value.get("value"), str)
    )
