"""Level 3: one cluster for all tests of a module, which run in the order in which they stand."""

from collections.abc import Iterator

import pytest

from installed.images import OLDER
from installed.platform import Platform, running
from level3.network import Network
from level3.prerequisites import missing
from testbed.postgresql import postgresql, programs


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Four nodes with our images; the first test installs the older release on it."""
    if reasons := missing():
        pytest.skip(f"no whole node can be run here: {'; '.join(reasons)}")
    with running(tmp_path_factory.mktemp("cluster")) as made:
        made.values.update({"images.penstock.tag": OLDER, "images.gateway.tag": OLDER})
        yield made


@pytest.fixture(scope="session")
def database(platform: Platform) -> Iterator[str]:
    """The URL of an empty PostgreSQL that pods reach."""
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL's programs are missing: install the package postgresql")
    with postgresql(place, address=Network.HOST, enter=platform.cluster.enter) as url:
        yield url
