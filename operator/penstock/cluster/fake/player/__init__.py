"""Plays the controllers and kubelets of a cluster on the in-memory API server, as far as Penstock and kubectl can tell.

Deployments, scheduling, pods, nodes and endpoints; no volumes, no networks, no garbage collection (the server has it).
"""

from penstock.cluster.fake.player.player import Player, PlayerSettings

__all__ = ["Player", "PlayerSettings"]
