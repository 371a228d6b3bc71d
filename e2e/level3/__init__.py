"""Level 3: a real cluster of several nodes on one machine, with pods as containers and pretend GPUs."""
