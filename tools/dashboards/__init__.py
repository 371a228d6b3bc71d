"""Grafana's dashboards, written by code: `python -m tools.dashboards` puts them into the chart."""
