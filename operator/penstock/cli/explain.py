"""`penstock explain`: the decision tree of one deployment, or who is in a pool and who is not, with the reasons."""

import sys
from collections.abc import Iterable
from typing import Any

import click
from pydantic import ValidationError

from penstock.cli.connection import MISSING_CRDS, Target, connected, run
from penstock.cli.connection import Refusal as ClusterRefusal
from penstock.cli.explain_text import data_of, write_explanation
from penstock.cli.explanation import (
    Explanation,
    explain_apart,
    explain_live_deployment,
    explain_live_pool,
    explain_placement,
    explain_planned_pool,
)
from penstock.cli.output import output_option, write_data
from penstock.cli.plan_report import report
from penstock.cli.planning import FleetQuestion, fleet_options, make_plan
from penstock.cli.reading import read_view
from penstock.cli.refusing import EXIT_REFUSED, InputRefused, option_refused
from penstock.cluster.resources import INFERENCE_POOLS, MODEL_DEPLOYMENTS
from penstock.operations.view import ClusterView, Gap, name_of, namespace_of

__all__ = ["explain"]

_KINDS = {
    "modeldeployment": "ModelDeployment",
    "modeldeployments": "ModelDeployment",
    "md": "ModelDeployment",
    "inferencepool": "InferencePool",
    "inferencepools": "InferencePool",
    "gpupool": "InferencePool",
    "pool": "InferencePool",
}


@click.command()
@click.argument("what", metavar="KIND/NAME")
@click.option("-n", "--namespace", default="", help="The deployment's; left out: the one that has the name.")
@fleet_options
@output_option
def explain(*, what: str, namespace: str, question: FleetQuestion, form: str) -> None:
    r"""Show why a deployment stands where it does, and why not elsewhere.

    KIND is modeldeployment (md) or inferencepool (pool); NAME may be NAMESPACE/NAME. The tree goes from pools to
    precisions, engines and layouts: what was taken, and for everything else one reason. Below it stands what came
    nearest in the other pools, and what would have to change. Of a pool it says who is there, and why others are not.

    With -f the files are planned, as `penstock plan` does it. With --context or --kubeconfig and no -f it is read from
    the cluster's statuses: what the operator decided, and what it proposes.

    \b
    Exit codes
      0  it has its place
      2  it has none, or not for all of its replicas; or there is no such thing; or a file or the cluster is refused

    \b
    Examples
      penstock explain md/assistants/llama-70b -f fleet/
      penstock explain md/llama-70b -n assistants --context production
      penstock explain pool/h100-eu -f fleet/ -o json
    """
    kind, namespace, name = _named(what, namespace)
    if question.paths:
        found = _planned(question, kind, namespace, name)
    else:
        found = _live(question.target or Target(), kind, namespace, name)
    if form == "table":
        write_explanation(found, sys.stdout)
    else:
        write_data(data_of(found), form, sys.stdout)
    sys.exit(0 if found.settled else EXIT_REFUSED)


def _named(what: str, namespace: str) -> tuple[str, str, str]:
    """Kind, namespace and name; the namespace is empty where nobody said."""
    kind, separator, rest = what.partition("/")
    known = _KINDS.get(kind.lower().removesuffix(".penstock.dev"))
    if known is None or not separator or not rest or rest.count("/") > 1:
        cure = "Write it as in md/assistants/llama-70b or pool/h100-eu"
        raise option_refused(field="KIND/NAME", value=what, reason="is no deployment or pool", cure=cure)
    within, _, name = rest.rpartition("/")
    if within and namespace and within != namespace:
        raise option_refused(
            field="-n", value=namespace, reason=f"is another than {within}", cure="Leave one of them out"
        )
    return known, within or namespace, name


def _planned(question: FleetQuestion, kind: str, namespace: str, name: str) -> Explanation:
    planned = make_plan(question)
    made = report(planned, None)
    if kind == "InferencePool":
        found = explain_planned_pool(made, name)
        if found is None:
            raise _unknown(name, kind, (each.pool for each in made.pools))
        return found
    refused = [each for each in made.refused if each.name == name and namespace in {"", each.namespace}]
    if len(refused) == 1 and refused[0].key in made.apart:
        for line in refused[0].lines:
            click.echo(line, err=True)
        return explain_apart(refused[0], made.apart[refused[0].key])
    if refused:
        raise InputRefused(line for each in refused for line in each.lines)
    keys = [each.tenant.key for each in made.placements]
    chosen = _only(keys, namespace, name)
    return next(explain_placement(each) for each in made.placements if each.tenant.key == chosen)


def _only(keys: Iterable[tuple[str, str]], namespace: str, name: str) -> tuple[str, str]:
    """The one that is meant; InputRefused where there is none, or more than one."""
    keys = tuple(keys)
    meant = [key for key in keys if key[1] == name and namespace in {"", key[0]}]
    if len(meant) == 1:
        return meant[0]
    if not meant:
        wanted = f"{namespace}/{name}" if namespace else name
        raise _unknown(wanted, "ModelDeployment", ("/".join(key) for key in keys))
    where = ", ".join(key[0] for key in meant)
    raise option_refused(
        field="KIND/NAME", value=name, reason=f"is in several namespaces: {where}", cure="Name one by -n"
    )


def _unknown(name: str, kind: str, there: Iterable[str]) -> InputRefused:
    names = ", ".join(sorted(there)) or "none"
    return option_refused(field="KIND/NAME", value=name, reason=f"there is no such {kind}", cure=f"There is: {names}")


def _live(target: Target, kind: str, namespace: str, name: str) -> Explanation:
    view = run(_read(target))
    try:
        return _live_pool(view, name) if kind == "InferencePool" else _live_deployment(view, namespace, name)
    except ValidationError as error:
        message = f"the status of {name} cannot be read: {error.errors()[0]['msg']}. Use the operator's own version"
        raise ClusterRefusal(message) from error


async def _read(target: Target) -> ClusterView:
    async with connected(target) as (client, _):
        view = await read_view(client, (MODEL_DEPLOYMENTS, INFERENCE_POOLS))
    for kind, listing in view.gaps():
        raise ClusterRefusal(
            MISSING_CRDS if listing.gap is Gap.NOT_SERVED else f"{kind}: {listing.message}. Ask for its role"
        )
    return view


def _live_deployment(view: ClusterView, namespace: str, name: str) -> Explanation:
    items = {(namespace_of(each), name_of(each)): each for each in view.items(MODEL_DEPLOYMENTS)}
    return explain_live_deployment(items[_only(items, namespace, name)])


def _live_pool(view: ClusterView, name: str) -> Explanation:
    pools: dict[str, Any] = {name_of(each): each for each in view.items(INFERENCE_POOLS)}
    if name not in pools:
        raise _unknown(name, "InferencePool", pools)
    return explain_live_pool(pools[name], view.items(MODEL_DEPLOYMENTS))
