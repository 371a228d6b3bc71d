"""A dashboard as a few words, and the JSON that Grafana 11 and newer read; the rest is Grafana's default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from string import ascii_uppercase
from typing import Any

__all__ = ["Dashboard", "Panel", "Row", "Target", "Variable", "series", "stat", "table"]

_SCHEMA_VERSION = 39
_COLUMNS = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_TAG = "penstock"


@dataclass(frozen=True, slots=True)
class Target:
    """One query and what its series are called."""

    query: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture of some queries; `unit` is one of Grafana's, `steps` are thresholds above the green one, by colour."""

    kind: str
    title: str
    targets: Sequence[Target]
    unit: str
    width: int
    height: int
    text: str = ""
    steps: Sequence[tuple[str, float]] = ()
    stacked: bool = False
    shows: str = "auto"

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """At that place, with that id."""
        document = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [self._target(*pair) for pair in zip(ascii_uppercase, self.targets, strict=False)],
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": {**_OPTIONS[self.kind], **({"textMode": self.shows} if self.kind == "stat" else {})},
        }
        if self.kind == "table":
            hidden = {"Time": True, "Value": len(self.targets) == 1 and self.unit == "none"}
            document["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
        return document

    def _target(self, letter: str, target: Target) -> dict[str, Any]:
        instant = self.kind != "timeseries"
        shape = {"instant": True, "range": False} if instant else {"range": True}
        form = {"format": "table"} if self.kind == "table" else {"legendFormat": target.legend}
        return {"refId": letter, "datasource": _SOURCE, "expr": target.query, **shape, **form}

    def _defaults(self) -> dict[str, Any]:
        steps = [{"color": "green", "value": None}, *({"color": name, "value": at} for name, at in self.steps)]
        defaults: dict[str, Any] = {"unit": self.unit, "thresholds": {"mode": "absolute", "steps": steps}}
        if self.kind == "timeseries":
            defaults["min"] = 0
            mode = "normal" if self.stacked else "none"
            defaults["custom"] = {"fillOpacity": 20 if self.stacked else 0, "stacking": {"mode": mode}}
        return defaults


_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "none"},
    "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
    "table": {"showHeader": True},
}


def stat(
    title: str,
    query: str,
    *,
    unit: str = "short",
    legend: str = "",
    text: str = "",
    shows: str = "",
    **steps: float,
) -> Panel:
    """A number of each series; `steps` are the values from which it is orange or red."""
    shown = shows or ("value_and_name" if legend else "auto")
    return Panel("stat", title, [Target(query, legend)], unit, 4, 4, text, tuple(steps.items()), shows=shown)


def series(title: str, unit: str, *targets: Target, text: str = "", width: int = 12, stacked: bool = False) -> Panel:
    """Lines over time."""
    return Panel("timeseries", title, targets, unit, width, 8, text, stacked=stacked)


def table(title: str, query: str, *, unit: str = "none", text: str = "", width: int = 12) -> Panel:
    """The labels of what is found now, one line each; with the value where it has a unit."""
    return Panel("table", title, [Target(query)], unit, width, 8, text)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top of the dashboard: the values of a label; `several`: more than one, or all."""

    name: str
    query: str
    several: bool = True

    def json(self) -> dict[str, Any]:
        """As Grafana keeps it."""
        return {
            "type": "query",
            "name": self.name,
            "label": self.name,
            "datasource": _SOURCE,
            "query": {"query": self.query, "refId": "A"},
            "refresh": 2,
            "sort": 1,
            "multi": self.several,
            "includeAll": self.several,
            **({"allValue": ".*", "current": {"text": "All", "value": "$__all"}} if self.several else {}),
        }


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`name` is its file and, behind `penstock-`, its uid."""

    name: str
    title: str
    text: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = field(default=())

    def json(self) -> dict[str, Any]:
        """The whole document; the datasource is a variable, so that it fits any Grafana."""
        source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}
        return {
            "uid": f"penstock-{self.name}",
            "title": self.title,
            "description": self.text,
            "tags": [_TAG],
            "schemaVersion": _SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "links": [
                {"type": "dashboards", "title": "Penstock", "tags": [_TAG], "asDropdown": True, "keepTime": True}
            ],
            "templating": {"list": [source, *(variable.json() for variable in self.variables)]},
            "panels": list(self._panels()),
        }

    def _panels(self) -> Iterator[dict[str, Any]]:
        """In lines of 24 columns; a panel that does not fit begins the next one."""
        numbers, y = count(1), 0
        for row in self.rows:
            place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
            yield {"id": next(numbers), "type": "row", "title": row.title, "collapsed": False, "gridPos": place}
            x, y, height = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > _COLUMNS:
                    x, y, height = 0, y + height, 0
                yield panel.json(next(numbers), x, y)
                x, height = x + panel.width, max(height, panel.height)
            y += height
