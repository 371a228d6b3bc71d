"""The size of checkpoints from their config.json alone, against what is published: nothing published is read."""

from collections.abc import Mapping
from pathlib import Path

from bench.sizing.cells import GIB, number, read_rows
from bench.sizing.models import from_table
from bench.sizing.tally import Tally
from penstock.api.refusals import Refused
from penstock.catalogue.lookup import find
from penstock.catalogue.models import ConfigFacts, catalogue_config, facts_from_config

__all__ = ["computed_bytes", "run"]


def run(data: Path) -> None:
    """`weights_error_median` and `weights_error_p95` over the rows of models.csv that state a published size."""
    tally = Tally()
    for row in read_rows(data / "models.csv"):
        _judge(tally, row)
    for name, at in (("weights_error_median", 0.5), ("weights_error_p95", 0.95)):
        tally.error(name, at)


def _judge(tally: Tally, row: Mapping[str, str]) -> None:
    name, published = row.get("id", ""), number(row.get("weights_gib_published", ""))
    if published <= 0:
        tally.skipped["no published size in the row"] += 1
        return
    size = computed_bytes(row)
    if size is None:
        tally.missed["no config of this architecture"] += 1
        return
    tally.add(name, size / GIB / published - 1)


def computed_bytes(row: Mapping[str, str]) -> int | None:
    """The size by formula, from the catalogue's config of the model or from the row's own columns; None for neither."""
    known = find(row.get("id", ""))
    try:
        if known is not None and known.source != "totals":
            model = known.model
            return facts_from_config(ConfigFacts(model=model, config=catalogue_config(model))).weights_bytes
        facts = from_table(row)
    except Refused:
        return None
    return facts.weights_bytes if facts is not None else None
