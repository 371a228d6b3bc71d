"""An API server in memory, with switches for faults; for tests and the demo.

It is held to a real kube-apiserver by the contract suite. What it does not do it answers with 501; `LIMITS` lists it.
"""

from penstock.cluster.fake.server import LIMITS, FakeAPIServer

__all__ = ["LIMITS", "FakeAPIServer"]
