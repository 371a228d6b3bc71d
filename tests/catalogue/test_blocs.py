"""Countries and blocs."""

import pytest

from penstock.catalogue.blocs import bloc_names, contains, countries_of

CASES = {
    "a member lies in its bloc": (["EU"], ["IE"], True),
    "all of them do": (["EU"], ["IE", "SE"], True),
    "one outside is enough to fail": (["EU"], ["IE", "US"], False),
    "Norway is in the EEA, not in the EU": (["EU"], ["NO"], False),
    "Norway is in the EEA": (["EEA"], ["NO"], True),
    "several jurisdictions add up": (["EU", "CH"], ["CH", "DE"], True),
    "a country stands for itself": (["DE"], ["DE"], True),
    "the United Kingdom left": (["EU"], ["GB"], False),
    "no country stated passes nothing": (["EU"], [], False),
    "no jurisdiction admits nothing": ([], ["DE"], False),
    "an unknown jurisdiction admits nothing": (["ATLANTIS"], ["DE"], False),
    "an unknown country lies nowhere": (["EU"], ["ZZ"], False),
    "an unknown country does not contain itself": (["ZZ"], ["ZZ"], False),
}


@pytest.mark.parametrize(("jurisdictions", "countries", "want"), CASES.values(), ids=CASES.keys())
def test_containment(jurisdictions: list[str], countries: list[str], *, want: bool) -> None:
    assert contains(jurisdictions, countries) is want


def test_sizes_of_the_blocs_that_matter() -> None:
    sizes = {
        code: len(countries_of(code) or ()) for code in ("EU", "EEA", "EFTA", "SCHENGEN", "EUROZONE", "NATO", "G7")
    }
    assert sizes == {"EU": 27, "EEA": 30, "EFTA": 4, "SCHENGEN": 29, "EUROZONE": 21, "NATO": 32, "G7": 7}


def test_every_bloc_holds_known_countries_only() -> None:
    for name in bloc_names():
        members = countries_of(name)
        assert members
        assert all(countries_of(member) == frozenset({member}) for member in members), name


def test_unknown_codes_are_told_apart_from_empty_ones() -> None:
    assert countries_of("XX") is None
    assert countries_of("eu") is None
