"""How many cases a property sees: 200 in `make test`, 100,000 in `make soak`, 1,000 in CI's sample of it.

`pytest tests/render --update-golden` writes what is rendered now into tests/golden; the diff is then reviewed.
"""

import os
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

settings.register_profile("default-here", max_examples=200, deadline=None)
settings.register_profile("sample", max_examples=1_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", max_examples=100_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default-here"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the rendered manifests instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """False where this folder is not named on the command line: the option is then not read."""
    return bool(request.config.getoption("--update-golden", default=False))


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark every Hypothesis test as a property, so that `make soak` finds it."""
    for item in items:
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj):
            item.add_marker(pytest.mark.property)
