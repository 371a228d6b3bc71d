"""What engines say of themselves on /metrics: a client that asks one, and a pure reader of what it answers."""
