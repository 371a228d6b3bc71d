"""Asking the model hub, or a mirror of it, what a checkpoint is: config, size, and the commit that a revision names.

The only place that speaks HTTP to hubs. It reads no weights, keeps no connections between questions, remembers
nothing (the cluster's cache does) and decides nothing about the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from penstock.hub.errors import CredentialsNeeded, HubUnavailable, MalformedModel, ModelNotFound
from penstock.hub.transport import HubSession, Limits
from penstock.hub.weights import RepositoryFiles, read_weights

__all__ = ["Hub", "HubAnswer", "HubQuestion"]

_DEFAULT_BASE = "https://huggingface.co"
_LARGEST_LISTING = 16 * 2**20
_LARGEST_CONFIG = 2**20
_LARGEST_QUANTIZATION = 8 * 2**20


@dataclass(frozen=True, slots=True)
class HubQuestion:
    """A checkpoint by name; revision None means the default branch. The token is shown in no message and no repr."""

    model: str
    revision: str | None = None
    token: str | None = field(default=None, repr=False)
    mirror_url: str = ""


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub holds. `weights_bytes` None: no weights that an engine loads; `dtype_bytes` may be empty."""

    config: Mapping[str, Any]
    weights_bytes: int | None
    resolved_revision: str | None
    dtype_bytes: Mapping[str, int] = field(default_factory=dict)


class Hub:
    """The hub at `base_url`; questions may name a mirror instead."""

    def __init__(
        self,
        *,
        base_url: str = _DEFAULT_BASE,
        transport: httpx.AsyncBaseTransport | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._base_url = base_url or _DEFAULT_BASE
        self._transport = transport
        self._limits = limits or Limits()

    async def facts(self, question: HubQuestion) -> HubAnswer:
        """Config, weights and commit of one checkpoint; raises the leaves of hub/errors.py."""
        path = _repository_path(question)
        async with self._client(question) as client:
            session = HubSession(client, _subject(question), question.token is not None, self._limits)
            listing = await session.json(_listing_path(path, question), at_most=_LARGEST_LISTING)
            commit, files = _read_listing(session.subject, listing)
            here = f"{path}/resolve/{quote(commit or question.revision or 'main', safe='')}"
            config = await self._config(session, here, files)
            weights = await read_weights(session, here, files)
        return HubAnswer(config, weights.total_bytes, commit, weights.dtype_bytes)

    def _client(self, question: HubQuestion) -> httpx.AsyncClient:
        headers = {"accept-encoding": "gzip"}
        if question.token is not None:
            headers["authorization"] = f"Bearer {_clean_token(question)}"
        limits = self._limits
        return httpx.AsyncClient(
            base_url=self._address(question),
            headers=headers,
            transport=self._transport,
            timeout=httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds),
            limits=httpx.Limits(max_connections=2),
        )

    def _address(self, question: HubQuestion) -> httpx.URL:
        address = question.mirror_url or self._base_url
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            url = httpx.URL()
        if url.scheme not in {"http", "https"} or not url.host:
            message = (
                f"reading {_subject(question)}: '{address[:80]}' is no http(s) address; check `source.hub.mirrorURL`"
            )
            raise HubUnavailable(message)
        return url

    @staticmethod
    async def _config(session: HubSession, here: str, files: RepositoryFiles) -> Mapping[str, Any]:
        if files.listed and "config.json" not in files.sizes:
            message = f"{session.subject} has no config.json; pick a repository with safetensors weights and a config"
            raise MalformedModel(message)
        config = await session.json(f"{here}/config.json", at_most=_LARGEST_CONFIG)
        if not isinstance(config, dict):
            message = f"{session.subject}: config.json is not a JSON object; pick another revision"
            raise MalformedModel(message)
        if "quantization_config" not in config and "hf_quant_config.json" in files.sizes:
            # Older exports of NVIDIA's quantiser state the format in a file of their own.
            separate = await session.json(f"{here}/hf_quant_config.json", at_most=_LARGEST_QUANTIZATION)
            return config | _separate_quantization(separate)
        return config


def _separate_quantization(separate: Any) -> dict[str, Any]:
    section = separate.get("quantization", separate) if isinstance(separate, dict) else None
    if not isinstance(section, dict):
        return {}
    return {"quantization_config": {**section, "quant_method": "modelopt"}}


def _clean_token(question: HubQuestion) -> str:
    """Files put into Secrets end in a newline; anything else that is not printable ASCII is no token."""
    token = (question.token or "").strip()
    if not token or not token.isascii() or not token.isprintable():
        message = (
            f"the token for {_subject(question)} is empty or holds characters that no token has;"
            " check the key of the Secret in `spec.credentialsRef`"
        )
        raise CredentialsNeeded(message)
    return token


def _subject(question: HubQuestion) -> str:
    at = f" at revision '{question.revision}'" if question.revision else ""
    return f"model '{question.model}'{at}"


def _repository_path(question: HubQuestion) -> str:
    """Segments are escaped one by one; dots that would climb are no model's name."""
    segments = question.model.split("/") + (question.revision or "main").split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        message = f"{_subject(question)} is not a name that a hub could have; check `spec.model`"
        raise ModelNotFound(message)
    return "/" + "/".join(quote(segment, safe="") for segment in question.model.split("/"))


def _listing_path(path: str, question: HubQuestion) -> str:
    return f"/api/models{path}/revision/{quote(question.revision or 'main', safe='')}?blobs=true"


def _read_listing(subject: str, listing: Any) -> tuple[str | None, RepositoryFiles]:
    if not isinstance(listing, dict):
        message = f"{subject}: the hub's answer is no description of a repository; check `source.hub.mirrorURL`"
        raise MalformedModel(message)
    commit = listing.get("sha")
    return commit if isinstance(commit, str) and commit.isalnum() else None, RepositoryFiles.of(listing)
