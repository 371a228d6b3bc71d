"""The edge: what runs in every gateway replica, an ASGI application around LiteLLM's."""
