"""Lines of the audit log, as the API server of Kubernetes 1.36 writes them."""

import json
from pathlib import Path

from level3 import audit

_LINE = {
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/default/pods/x/eviction",
    "verb": "create",
    "user": {"username": "system:serviceaccount:a:b"},
    "objectRef": {"resource": "pods", "namespace": "default", "name": "x", "subresource": "eviction"},
    "responseStatus": {"code": 429},
    "requestReceivedTimestamp": "2026-11-21T14:00:00.000000Z",
    "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed"},
}


def test_a_line_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(_LINE) + "\n" + json.dumps(_LINE)[:40])
    (event,) = audit.read(log)
    assert (event.user, event.verb, event.resource, event.subresource) == (
        "system:serviceaccount:a:b",
        "create",
        "pods",
        "eviction",
    )
    assert (event.group, event.namespace, event.name, event.code) == ("", "default", "x", 429)
    assert (event.decision, event.reason) == ("allow", "RBAC: allowed")


def test_a_request_about_no_object_is_read_too() -> None:
    line = {key: value for key, value in _LINE.items() if key not in ("objectRef", "annotations")}
    event = audit.AuditEvent.of(json.dumps(line))
    assert (event.resource, event.decision) == ("", "")
