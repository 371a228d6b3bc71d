"""Prefill and decode on workers of their own: which layout, whether it is worth it, and what it costs."""
