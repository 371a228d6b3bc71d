"""`pytest tests/render --update-golden` writes what is rendered now into tests/golden; the diff is then reviewed."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the rendered manifests instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """False where this folder is not named on the command line: the option is then not read."""
    return bool(request.config.getoption("--update-golden", default=False))
