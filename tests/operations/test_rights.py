"""The rights that doctor asks about follow from the operator's own arguments."""

from penstock.operations.checks import Needed
from penstock.operations.rights import needed_rights

_ACCOUNT = "system:serviceaccount:penstock-system:penstock-operator"


def _places(resource: str, *arguments: str) -> set[str]:
    rights = needed_rights("penstock-system", arguments)
    return {each.namespace for each in rights if each.account == _ACCOUNT and each.resource == resource}


def test_each_is_asked_once() -> None:
    rights = needed_rights("penstock-system", ("--issue-certificates", "--secret-namespaces=a,b"))
    assert len(set(rights)) == len(rights)


def test_everywhere_unless_namespaces_are_named() -> None:
    assert _places("modeldeployments") == {""}
    assert _places("modeldeployments", "--watch-namespaces=a,b") == {"a", "b"}
    assert _places("nodes", "--watch-namespaces=a,b") == {""}


def test_secrets_only_where_they_are_named() -> None:
    assert _places("secrets", "--secret-namespaces=") == set()
    assert _places("secrets", "--secret-namespaces=a,b") == {"a", "b"}
    assert _places("secrets", "--secret-namespaces=a", "--issue-certificates") == {"a", "penstock-system"}


def test_what_is_held_to_a_name_is_asked_with_it() -> None:
    rights = needed_rights("penstock-system", ("--issue-certificates",))
    assert {each.name for each in rights if each.resource == "secrets"} == {"penstock-ca", "penstock-server-tls"}
    assert {each.name for each in rights if (each.resource, each.verb) == ("leases", "update")} == {"penstock-operator"}


def test_the_reader_s_own_are_among_them() -> None:
    assert Needed("", "list", "penstock.dev", "modeldeployments") in needed_rights("penstock-system", ())


def test_namespaces_are_seen_by_name_where_some_are_watched() -> None:
    def names(*arguments: str) -> set[str]:
        rights = needed_rights("penstock-system", arguments)
        return {each.name for each in rights if (each.account, each.resource) == (_ACCOUNT, "namespaces")}

    assert names() == {""}
    assert names("--watch-namespaces=a,b") == {"a", "b"}
