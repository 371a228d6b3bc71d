"""The table itself: nothing in it is too wide, everything in it has a reason, and the file of the chart is it."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from penstock.access.document import rbac_document
from penstock.access.names import AUTHORITY_SECRET
from penstock.access.rights import Asked, Process, Reach, Right, Scope, allowed
from penstock.access.table import RIGHTS
from penstock.access.users import USER_RIGHTS, Role
from penstock.cli.rbac import rbac
from penstock.cluster.resources import OWN_KINDS, resource_of

FILES = Path(__file__).parents[2] / "charts" / "penstock" / "files"
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}
REACH = Reach("penstock-system", frozenset({"ai-platform"}))
NAMESPACED = Reach("penstock-system", frozenset({"ai-platform"}), frozenset({"ai-platform", "assistants"}))

every_right = pytest.mark.parametrize(
    "right", RIGHTS, ids=lambda right: f"{right.process}-{right.scope}-{right.resources[0]}-{right.verbs[0]}"
)


@every_right
def test_no_right_is_wider_than_its_words(right: Right) -> None:
    assert set(right.verbs) <= VERBS
    assert "*" not in {right.group, *right.resources, *right.names}
    assert right.why


@every_right
def test_a_name_limits_no_verb_that_has_none(right: Right) -> None:
    """Kubernetes knows no name yet where an object is posted, listed or watched; an apply names what it creates."""
    if right.names:
        assert not {"list", "watch"} & set(right.verbs)
        assert "create" not in right.verbs or "patch" in right.verbs


def test_secrets_are_read_in_no_namespace_that_was_not_named() -> None:
    scopes = {right.scope for right in RIGHTS if "secrets" in right.resources}
    assert scopes == {Scope.SECRETS, Scope.CERTIFICATES}


def test_no_right_gives_rights() -> None:
    assert not [right for right in RIGHTS if right.group == "rbac.authorization.k8s.io"]
    assert not {"serviceaccounts", "serviceaccounts/token", "pods/exec"} & {
        resource for right in RIGHTS for resource in right.resources
    }


def test_the_server_asks_and_touches_nothing() -> None:
    asks = {(right.resources, right.verbs) for right in RIGHTS if right.process is Process.SERVER}
    assert asks == {(("tokenreviews",), ("create",)), (("subjectaccessreviews",), ("create",))}


@pytest.mark.parametrize(
    ("asked", "reach", "answer"),
    [
        (Asked("list", "", "pods"), REACH, True),
        (Asked("list", "", "pods"), NAMESPACED, False),
        (Asked("list", "", "pods", namespace="assistants"), NAMESPACED, True),
        (Asked("list", "", "pods", namespace="kube-system"), NAMESPACED, False),
        (Asked("list", "", "nodes"), NAMESPACED, True),
        (Asked("list", "", "namespaces"), REACH, True),
        (Asked("list", "", "namespaces"), NAMESPACED, False),
        (Asked("list", "", "namespaces", name="assistants"), NAMESPACED, True),
        (Asked("watch", "", "namespaces", name="kube-system"), NAMESPACED, False),
        (Asked("delete", "", "nodes", name="a"), REACH, False),
        (Asked("list", "", "secrets"), REACH, False),
        (Asked("get", "", "secrets", namespace="ai-platform", name="key"), REACH, True),
        (Asked("get", "", "secrets", namespace="assistants", name="key"), REACH, False),
        (Asked("get", "", "secrets", namespace="penstock-system", name=AUTHORITY_SECRET), REACH, True),
        (Asked("get", "", "secrets", namespace="penstock-system", name="another"), REACH, False),
        (
            Asked("get", "", "secrets", namespace="penstock-system", name=AUTHORITY_SECRET),
            Reach("penstock-system", issues_certificates=False),
            False,
        ),
        (Asked("patch", "penstock.dev", "modeldeployments", "status", "assistants", "chat"), REACH, True),
        (Asked("create", "penstock.dev", "modeldeployments", "", "assistants", "chat"), REACH, False),
        (Asked("update", "coordination.k8s.io", "leases", "", "penstock-system", "penstock-operator"), REACH, True),
        (Asked("update", "coordination.k8s.io", "leases", "", "penstock-system", "another"), REACH, False),
        (Asked("update", "coordination.k8s.io", "leases", "", "kube-system", "penstock-operator"), REACH, False),
    ],
    # Sets have another order in each process, and workers compare names.
    ids=lambda value: (
        f"{value.verb}-{value.path}-{value.namespace}" if isinstance(value, Asked) else type(value).__name__
    ),
)
def test_what_the_operator_may(asked: Asked, reach: Reach, answer: bool) -> None:  # noqa: FBT001 - a column of the table
    assert allowed(asked, Process.OPERATOR, RIGHTS, reach) is answer


def test_pools_are_no_users_affair() -> None:
    assert not [right for right in USER_RIGHTS if any("inferencepools" in each for each in right.resources)]


def test_everyone_reads_and_only_admins_write_budgets() -> None:
    writers = {right.role for right in USER_RIGHTS if "budgets" in right.resources and "update" in right.verbs}
    readers = {right.role for right in USER_RIGHTS if "budgets" in right.resources and "get" in right.verbs}
    assert (writers, readers) == ({Role.ADMIN}, {Role.VIEW})


def test_every_kind_of_ours_is_in_it() -> None:
    watched = {resource for right in RIGHTS if "watch" in right.verbs for resource in right.resources}
    assert {kind.plural for kind in OWN_KINDS} <= watched


def test_groups_are_those_of_the_kinds() -> None:
    groups = {kind.plural: kind.group for kind in OWN_KINDS}
    for group, version, kind in (
        ("apps", "v1", "Deployment"),
        ("", "v1", "Secret"),
        ("policy", "v1", "PodDisruptionBudget"),
    ):
        found = resource_of({"apiVersion": f"{group}/{version}".lstrip("/"), "kind": kind})
        groups[found.plural] = found.group
    for right in RIGHTS:
        for resource in right.resources:
            plural = resource.partition("/")[0]
            assert right.group == groups.get(plural, right.group), resource


def test_the_chart_has_the_table() -> None:
    """`make rbac` writes it."""
    assert (FILES / "rbac.yaml").read_text() == rbac_document()


def test_the_document_holds_every_rule() -> None:
    document = yaml.safe_load(rbac_document())
    rules = [rule for process in ("operator", "server") for scope in document[process].values() for rule in scope]
    assert len(rules) == len(RIGHTS)
    assert sum(len(rules) for rules in document["users"].values()) == len(USER_RIGHTS)


def test_a_stale_file_is_told(tmp_path: Path) -> None:
    runner = CliRunner()
    missing = runner.invoke(rbac, ["--check", str(tmp_path)])
    assert missing.exit_code == 1
    assert "is missing" in missing.output
    assert runner.invoke(rbac, [str(tmp_path)]).exit_code == 0
    assert runner.invoke(rbac, ["--check", str(tmp_path)]).exit_code == 0
    (tmp_path / "rbac.yaml").write_text("operator: {}\n")
    stale = runner.invoke(rbac, ["--check", str(tmp_path)])
    assert (stale.exit_code, "differs from the table" in stale.output) == (1, True)
