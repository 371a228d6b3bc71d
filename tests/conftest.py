"""How many cases a property sees: 50 in `make test`, 100,000 in `make soak`, 1,000 in CI's sample of it.

The first and the last see the same cases each time, so that a change is judged by what it changes; the soak draws anew.

`pytest tests/render --update-golden` writes what is rendered now into tests/golden; the diff is then reviewed.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_HERE = Path(__file__).parent
_LONGEST = tuple(
    str(_HERE / name) for name in ("integration/", "contract/", "cli/test_demo.py", "cli/test_uninstall.py")
)

# Nothing here speaks to the internet; to read a machine's authorities takes 50 ms for each client.
os.environ["SSL_CERT_FILE"] = str(_HERE / "nobody.pem")

settings.register_profile("default-here", max_examples=50, deadline=None, derandomize=True)
settings.register_profile(
    "sample", max_examples=1_000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default-here"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the rendered manifests instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """False where this folder is not named on the command line: the option is then not read."""
    return bool(request.config.getoption("--update-golden", default=False))


class _BySuite(LoadScopeScheduling):
    """A file is played by one worker, and the whole contract suite by one: each would start a control plane."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "contract" if "contract/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _BySuite:
    """How workers share the tests."""
    return _BySuite(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every Hypothesis test as a property, so that `make soak` finds it; begin with the files that take longest.

    Two workers take one file after the other: a long one at the end would be played by one of them alone.
    """
    for item in items:
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
            item.add_marker(pytest.mark.property)
    items.sort(key=lambda item: not str(item.path).startswith(_LONGEST))
