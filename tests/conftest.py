"""How many cases a property sees: 200 in `make test`, 100,000 in `make soak` (HYPOTHESIS_PROFILE=soak)."""

import os

from hypothesis import settings

settings.register_profile("default-here", max_examples=200, deadline=None)
settings.register_profile("soak", max_examples=100_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default-here"))
