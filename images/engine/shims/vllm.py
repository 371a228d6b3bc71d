#!/opt/penstock/bin/python
"""The command `vllm` of the simulated engine."""

from simulated_engine import run

run("vllm")
