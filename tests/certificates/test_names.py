"""The names in the server's certificate."""

import pytest

from penstock.certificates.names import server_names

FORMS = (
    "penstock-server",
    "penstock-server.penstock-system",
    "penstock-server.penstock-system.svc",
    "penstock-server.penstock-system.svc.cluster.local",
)


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        pytest.param(["https://penstock-server:8090"], FORMS, id="one word"),
        pytest.param(["https://penstock-server.penstock-system:8090/"], FORMS, id="with its namespace"),
        pytest.param(["https://penstock-server.penstock-system.svc:8090"], FORMS, id="svc"),
        pytest.param([f"https://{each}:8090" for each in FORMS], FORMS, id="all of them"),
        pytest.param(["https://Penstock-Server:8090", ""], FORMS, id="case, and no second URL"),
        pytest.param(
            ["https://a.b.svc.corp.example"],
            ("a", "a.b", "a.b.svc", "a.b.svc.corp.example"),
            id="another cluster domain",
        ),
        pytest.param(["https://penstock.corp.example"], ("penstock.corp.example",), id="outside"),
        pytest.param(["https://127.0.0.1:1", "https://[::1]:1"], ("127.0.0.1", "::1"), id="addresses"),
    ],
)
def test_names(urls: list[str], names: tuple[str, ...]) -> None:
    """Each form in which the cluster's resolver completes it."""
    assert server_names(urls, "penstock-system") == names
