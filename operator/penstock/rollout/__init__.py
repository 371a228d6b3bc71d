"""Which revision should serve, which one is on its way, which one goes; pure."""
