"""The names of an installation, which are the same in every cluster: two of them would write the same pools."""

__all__ = [
    "AUTHORITY_SECRET",
    "LEARNT_CONFIG_MAP",
    "LEASE",
    "OPERATOR",
    "SERVER",
    "SERVER_SECRET",
    "SYSTEM_NAMESPACE",
]

SYSTEM_NAMESPACE = "penstock-system"
"""By default."""
OPERATOR = "penstock-operator"
SERVER = "penstock-server"
"""Of a process' Deployment, Service and account."""
LEASE = "penstock-operator"
AUTHORITY_SECRET = "penstock-ca"  # noqa: S105 - the name of an object
SERVER_SECRET = "penstock-server-tls"  # noqa: S105 - likewise
LEARNT_CONFIG_MAP = "penstock-learnt"
"""What engines taught the planner."""
