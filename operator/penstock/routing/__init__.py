"""Routes, providers, Consumers and what is live, to one gateway-neutral routing table; pure."""
