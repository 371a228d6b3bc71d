"""`penstock plan`: where the deployments of these files would go, what they cost, and what that changes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from penstock.cli.current import footprints_of_cluster, read_current
from penstock.cli.output import markdown_output_option, write_data
from penstock.cli.plan_markdown import write_markdown
from penstock.cli.plan_report import report
from penstock.cli.plan_text import write_text
from penstock.cli.planning import FleetQuestion, Planned, fleet_options, make_plan
from penstock.cli.refusing import EXIT_REFUSED
from penstock.cluster.resources import MODEL_DEPLOYMENTS
from penstock.planner.changes import Footprint
from penstock.planner.fleet import DeploymentKey

__all__ = ["plan"]


@click.command()
@fleet_options
@click.option(
    "--current",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with this: a former `plan -o json`, or `kubectl get modeldeployments -A -o yaml`.",
)
@markdown_output_option
def plan(*, question: FleetQuestion, current: Path | None, form: str) -> None:
    r"""Show where deployments would go, what they cost, and what that changes.

    Nothing is applied, and no cluster is needed. Pools of which no Node is known get free nodes, and the output says
    so. With --context or --kubeconfig the cluster says what runs now, and which pools and nodes there are where the
    files name none; without -f it is planned anew as a whole.

    Prices per million tokens are over prompt and output tokens together, at the load that is planned for.

    \b
    Exit codes
      0  everything has a place
      2  something has no place, or a field is not acted on; or a file, an option or the cluster is refused

    \b
    Examples
      penstock plan -f fleet/
      penstock plan -f deployments/ --pools pools.yaml -o json > plan.json
      penstock plan -f fleet/ --current plan.json -o markdown
      penstock plan -f fleet/ --context production
    """
    planned = make_plan(question)
    made = report(planned, _before(planned, current))
    if form == "table":
        write_text(made, sys.stdout)
    elif form == "markdown":
        write_markdown(made, sys.stdout)
    else:
        write_data(made.data, form, sys.stdout)
    for line in (*(_refusals(planned) if form != "table" else ()), *planned.unseen):
        click.echo(line, err=True)
    sys.exit(0 if made.complete else EXIT_REFUSED)


def _refusals(planned: Planned) -> Iterator[str]:
    """For the logs of whoever reads the answer by a program."""
    return (line for each in planned.documents.unsupported for line in each.lines)


def _before(planned: Planned, current: Path | None) -> dict[DeploymentKey, Footprint] | None:
    """What to compare with; None: nothing. The file goes before the cluster."""
    if current is not None:
        return read_current(current)
    return footprints_of_cluster(planned.view.items(MODEL_DEPLOYMENTS)) if planned.view else None
