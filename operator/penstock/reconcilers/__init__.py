"""One module per kind: gather a snapshot from the stores, decide, apply what differs, report.

`world` holds what is known of the cluster, `fleet` turns it into what the planner reads.
"""
