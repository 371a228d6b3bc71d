"""Penstock: a Kubernetes operator and control plane for LLM inference.

The rooms and the one-way doors between them are in `docs/architecture.md`.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
