"""kstatus' rules for a kind that it does not know, by its documentation; e2e/ holds this to the library itself."""

from typing import Any

__all__ = ["kstatus"]


def kstatus(document: dict[str, Any]) -> str:
    """Current, InProgress, Failed or Terminating."""
    metadata, status = document["metadata"], document.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    for each in status.get("conditions", ()):
        if each["status"] == "True" and each["type"] in {"Reconciling", "Stalled"}:
            return "Failed" if each["type"] == "Stalled" else "InProgress"
    ready = [each["status"] for each in status.get("conditions", ()) if each["type"] == "Ready"]
    return "InProgress" if ready and ready[0] != "True" else "Current"
