"""`penstock support-bundle`: what explains a problem, in one file that may be handed on."""

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click

from penstock import __version__
from penstock.access.names import SYSTEM_NAMESPACE
from penstock.cli.atomic_file import atomic_file
from penstock.cli.collecting import Bounds, collect
from penstock.cli.connection import Refusal, Target, cluster_options, connected, run
from penstock.cli.examining import gather
from penstock.operations.bundle import Bundle, File

__all__ = ["support_bundle"]

_MIB = 2**20


@click.command("support-bundle")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "-n", "--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Where the operator and the server run."
)
@click.option(
    "--max-mib",
    type=click.IntRange(2, 1024),
    default=50,
    show_default=True,
    help="Size of everything in it, before compression.",
)
@click.option(
    "--log-lines", type=click.IntRange(1, 1_000_000), default=5000, show_default=True, help="Of each container."
)
@cluster_options
def support_bundle(*, file: Path, namespace: str, max_mib: int, log_lines: int, target: Target) -> None:
    r"""Collect what explains a problem into FILE, a .tar.gz without secrets.

    In it: our resources and what was made for them, nodes, pods and events; logs and metrics of the operator, the
    server and gateways; versions, and what `penstock doctor` says. Not in it: Secrets, engines' logs, prompts.
    Credentials, tokens and passwords in URLs, arguments, environment and logs are replaced by [redacted].
    manifest.json says what is in it, what is left out, and why. Look through it before you hand it on: it names your
    models, teams and nodes.

    \b
    Exit codes
      0  the bundle is there; what could not be read is in its manifest
      2  the cluster does not answer, or FILE cannot be written

    \b
    Examples
      penstock support-bundle penstock.tar.gz
      tar -xOzf penstock.tar.gz --wildcards '*/manifest.json' | jq .leftOut
    """
    now = datetime.now(UTC)
    about = {"penstock": __version__, "takenAt": now.isoformat(timespec="seconds"), "namespace": namespace}
    bundle = Bundle(max_mib * _MIB, about)
    run(_collect(target, bundle, namespace, Bounds(log_lines=log_lines)))
    try:
        with atomic_file(file) as out:
            _write(bundle, out, now)
    except OSError as error:
        message = f"writing {file}: {error.strerror or error}. Make room, or name another FILE"
        raise Refusal(message) from error
    click.echo(f"{file}: {len(bundle.files)} files, {len(bundle.left_out)} things left out (manifest.json)", err=True)


async def _collect(target: Target, bundle: Bundle, namespace: str, bounds: Bounds) -> None:
    async with connected(target) as (client, version):
        facts = await gather(client, version, namespace)
        await collect(client, bundle, facts, bounds, lambda words: click.echo(words, err=True))


def _write(bundle: Bundle, out: BinaryIO, now: datetime) -> None:
    folder = f"penstock-support-{now:%Y%m%dT%H%M%SZ}"
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for file in (bundle.manifest(), *bundle.files):
            archive.addfile(_entry(folder, file, now), io.BytesIO(file.content))


def _entry(folder: str, file: File, now: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"{folder}/{file.path}")
    entry.size, entry.mode, entry.mtime = len(file.content), 0o600, int(now.timestamp())
    return entry
