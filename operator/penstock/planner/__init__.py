"""Memory, sharding, candidates, placement and the words for them; pure."""
