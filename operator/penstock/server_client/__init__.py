"""The operator's client of the control-plane server: publish tables, hear of replicas, make tokens."""
