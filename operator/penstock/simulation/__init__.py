"""Simulated engines and nodes, for tests and the demo; held to the real ones by what they refuse."""
