"""Level 2: the real control plane, operator, servers and gateways, with pods as processes of this machine."""
