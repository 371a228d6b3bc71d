"""What a test or the demo can break in what answers while it runs; switches, without an effect of their own."""

from dataclasses import dataclass

__all__ = ["Faults", "ProviderFaults"]


@dataclass(slots=True)
class Faults:
    """Switches that the engine reads at each request.

    `hang`: requests are taken and never answered, and /health stays 200, as with a stuck scheduler. `error`:
    completions fail with 500. `slow`: factor on every wait. `never_ready`: loading never ends. `fails_to_load`: the
    process exits with 1 after loading. `disconnect_after`: streams break after so many tokens.
    """

    hang: bool = False
    error: bool = False
    slow: float = 1.0
    never_ready: bool = False
    fails_to_load: bool = False
    disconnect_after: int | None = None


@dataclass(slots=True)
class ProviderFaults(Faults):
    """Switches of a hosted provider, besides an engine's.

    `down`: connections are cut without an answer. `limited`: everything is 429. `unavailable`: everything is 503.
    `retry_after` are the seconds that both tell, None for no word of it.
    """

    down: bool = False
    limited: bool = False
    unavailable: bool = False
    retry_after: int | None = None
