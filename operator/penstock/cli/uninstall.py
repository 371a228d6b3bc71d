"""`penstock uninstall`: drained, in order, until nothing is left behind."""

from dataclasses import dataclass
from datetime import UTC, datetime

import click

from penstock.access.names import SYSTEM_NAMESPACE
from penstock.cli.connection import EXIT_ATTENTION, Refusal, Target, cluster_options, connected, run
from penstock.cli.removing import Remover
from penstock.operations.removal import CHART, CRDS_CHART, Release, charts, held, operator_works, own_crds, summary
from penstock.operations.view import ClusterView, Gap

__all__ = ["uninstall"]

_MOST_NAMED = 8


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--helm", "by_helm", is_flag=True, help="Run `helm uninstall` for our releases too.")
@click.option("--keep-crds", is_flag=True, help="Leave the CustomResourceDefinitions there.")
@click.option("--force", is_flag=True, help="Where no operator runs: take deployments away undrained.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(1, 86400),
    default=900.0,
    show_default=True,
    help="Seconds that each step may wait; draining waits for requests in flight.",
)
@click.option(
    "-n", "--namespace", default=SYSTEM_NAMESPACE, show_default=True, help="Where the operator and the server run."
)
@cluster_options
def uninstall(
    *,
    yes: bool,
    dry_run: bool,
    by_helm: bool,
    keep_crds: bool,
    force: bool,
    seconds: float,
    namespace: str,
    target: Target,
) -> None:
    r"""Take Penstock out of a cluster: every model is drained, and nothing is left behind.

    First it says what goes, and asks. Then, waiting for each: ModelDeployments (the operator drains them: gateways stop
    sending, requests in flight end), Routes, Consumers, ModelProviders, Budgets, Evaluations, InferenceGateways,
    InferencePools; the Helm releases; the Lease, the CA and the server's certificate, the cached model facts; the CRDs.
    Stop GitOps tools first, or they put it all back. It may be interrupted, and run again.

    \b
    Exit codes
      0  nothing is left
      1  something is left; the message says what to do
      2  the cluster does not answer, or refuses; or bad usage

    \b
    Examples
      penstock uninstall --dry-run
      penstock uninstall --helm
      penstock uninstall --yes --keep-crds --timeout 3600
    """
    choices = _Choices(yes=yes, dry_run=dry_run, by_helm=by_helm, keep_crds=keep_crds, force=force)
    if not run(_uninstall(target, namespace, seconds, choices)):
        raise SystemExit(EXIT_ATTENTION)


@dataclass(frozen=True, slots=True)
class _Choices:
    """The flags."""

    yes: bool
    dry_run: bool
    by_helm: bool
    keep_crds: bool
    force: bool


async def _uninstall(target: Target, namespace: str, seconds: float, choices: _Choices) -> bool:
    """True where nothing is left."""
    async with connected(target) as (client, _):
        remover = Remover(client, namespace, seconds, click.echo, choices.force)
        view = await remover.look()
        _insist_on_sight(view)
        _tell(view, namespace, choices)
        _insist_on_operator(view, namespace, choices)
        if choices.dry_run:
            return True
        if not choices.yes:
            click.confirm("Go on?", abort=True)
        await remover.resources()
        return await _installation(remover, target, choices)


async def _installation(remover: Remover, target: Target, choices: _Choices) -> bool:
    releases = charts(await remover.look(), remover.namespace)
    if choices.by_helm and CHART in releases:
        await remover.chart(releases[CHART], target)
        await remover.wait_for_processes()
    left = await remover.processes()
    if left:
        release = releases.get(CHART, Release(CHART, remover.namespace))
        click.echo(
            f"left: {', '.join(left)}. Run\n  helm uninstall {release.name} -n {release.namespace}\n"
            "and then this command again: it takes the Lease, certificates, cached facts and CRDs along"
        )
        return False
    await remover.leftovers()
    if choices.keep_crds:
        click.echo("the CRDs stay (--keep-crds). All else is gone")
        return True
    return await _definitions(remover, releases.get(CRDS_CHART), target, choices)


async def _definitions(remover: Remover, release: Release | None, target: Target, choices: _Choices) -> bool:
    """Helm's own are Helm's to delete: deleted past it, its release would stay."""
    if release is not None and not choices.by_helm:
        click.echo(f"left: the CRDs. Run\n  helm uninstall {release.name} -n {release.namespace}")
        return False
    if release is not None:
        await remover.chart(release, target)
    await remover.definitions()
    click.echo("nothing of Penstock is left in the cluster")
    return True


def _insist_on_sight(view: ClusterView) -> None:
    """What cannot be seen cannot be drained."""
    unseen = [listing.message for kind, listing in view.gaps() if listing.gap is not Gap.NOT_SERVED]
    if unseen:
        message = f"it cannot be seen what is there: {'; '.join(unseen[:3])}. Use an administrator's context"
        raise Refusal(message)


def _tell(view: ClusterView, namespace: str, choices: _Choices) -> None:
    click.echo("This goes, in this order:")
    found = list(summary(view))
    for kind, names in found:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        click.echo(f"  {len(names)} {kind.kind}: {', '.join(names[:_MOST_NAMED])}{more}")
    if not found:
        click.echo("  (no resource of ours is there)")
    for release in charts(view, namespace).values():
        how = "" if choices.by_helm else " (by your `helm uninstall`)"
        click.echo(f"  Helm release {release.namespace}/{release.name}{how}")
    click.echo(f"  in {namespace}: the Lease, the CA, the server's certificate, cached model facts")
    crds = own_crds(view)
    if crds and not choices.keep_crds:
        click.echo(f"  {len(crds)} CustomResourceDefinitions")
    click.echo("Databases and their volumes, providers' Secrets and namespaces are yours and stay.")


def _insist_on_operator(view: ClusterView, namespace: str, choices: _Choices) -> None:
    """Deletions would wait for ever for an operator that is not there."""
    waiting = held(view)
    if not waiting or operator_works(view, namespace, datetime.now(UTC)):
        return
    words = (
        f"no operator leads in {namespace}, and {len(waiting)} ModelDeployments may only go when it has drained them"
    )
    if not choices.force:
        message = (
            f"{words}. Start it (kubectl -n {namespace} get deploy penstock-operator), name its namespace by -n, or say"
            " --force: then requests in flight fail"
        )
        raise Refusal(message)
    click.echo(f"Warning: {words}. By --force they go undrained: requests in flight fail.", err=True)
