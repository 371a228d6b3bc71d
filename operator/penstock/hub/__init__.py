"""Model metadata from the hub or its mirror: the only room that speaks HTTP to hubs."""
