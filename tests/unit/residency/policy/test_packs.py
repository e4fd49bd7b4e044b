"""A pack is enforced whole or not at all, and the shipped ones say something about everything."""

from datetime import date
from pathlib import Path

import pytest

from residency.policy.files import BadPolicyError, shipped_files
from residency.policy.lines import line_of
from residency.policy.packs import (
    PACKS_FOLDER,
    load_destination,
    load_limits,
    load_pack,
    load_packs,
)
from residency.policy.rulebook import load_rulebook
from residency.policy.rules import Action, decide
from residency.regions import load_regions
from schemas.fieldcheck import categories

ON = date(2026, 11, 23)
BOOK = load_rulebook(shipped_files())
CENTRAL = load_destination()
PACKS = sorted(path.stem for path in PACKS_FOLDER.glob("*.toml"))


@pytest.mark.parametrize("pack", PACKS)
def test_each_shipped_pack_drops_special_categories_and_never_keeps_free_text(pack: str) -> None:
    rules = load_packs((pack,))

    for category in ("user.health_and_medical", "user.biometric", "user.criminal_history"):
        assert decide(rules, category, CENTRAL, ON, load_limits()).action is Action.DROP
    text = decide(rules, "user.content.private", CENTRAL, ON, load_limits())
    assert text.action is Action.LABEL


@pytest.mark.parametrize("region", load_regions())
@pytest.mark.parametrize("category", sorted(categories()))
def test_every_category_is_decided_by_a_row_of_every_pack(region: str, category: str) -> None:
    """None is dropped for want of a row: somebody looked at each."""
    decision = BOOK.decide(region, category, CENTRAL.id, ON)

    assert decision.rules != ()
    assert decision.silent == ()


# The negatives are what a law singles out for one pack and not for another.
@pytest.mark.parametrize(
    ("pack", "category", "law"),
    [
        ("eu", "user.demographic.political_opinion", "GDPR Art. 9(1)"),
        ("eu", "user.health_and_medical.genetic", "GDPR Art. 9(1)"),
        ("eu", "user.criminal_history", "GDPR Art. 10"),
        ("uk", "user.demographic.trade_union_membership", "UK GDPR Art. 9(1); DPA 2018 s. 10"),
        ("ch", "user.biometric.fingerprint", "FADP Art. 5(c)(4)"),
        ("ch", "user.criminal_history", "FADP Art. 5(c)(5)"),
        ("us-ca", "user.government_id.passport_number", "Civ.Code 1798.140(ae)(1)(A)"),
        ("us-ca", "user.location.precise", "Civ.Code 1798.140(ae)(1)(C)"),
        ("us-ca", "user.payment", "Civ.Code 1798.140(ae)(1)(B)"),
        ("us-ca", "user.demographic.political_opinion", None),  # (ae) does not list it
        ("us-ca", "user.financial.credit_card", None),  # only together with its code
        ("eu", "user.location.precise", None),  # Art. 9 does not list it
        ("eu", "user.demographic.gender", None),
        ("eu", "user.content.self_image", None),  # rec. 51: a photograph as such is not
    ],
)
def test_what_is_special_and_by_which_law(pack: str, category: str, law: str | None) -> None:
    assert load_limits().special_law(pack, category) == law


@pytest.mark.parametrize(
    ("pack", "country", "schemes", "backed"),
    [
        ("eu", "DE", (), True),  # no transfer
        ("eu", "NZ", (), True),
        ("eu", "US", ("EU-US DPF",), True),
        ("eu", "US", ("UK Extension to EU-US DPF",), False),  # another law's scheme
        ("eu", "US", (), False),
        ("eu", "CA", (), False),  # commercial organisations under PIPEDA alone
        ("eu", "IN", (), False),
        ("uk", "US", ("EU-US DPF",), False),  # the extension is a certificate of its own
        ("uk", "US", ("UK Extension to EU-US DPF",), True),
        ("uk", "KR", (), True),  # unconditional for the UK, not for the EU
        ("eu", "KR", (), False),
        ("ch", "US", ("Swiss-US DPF",), True),
        ("ch", "US", ("EU-US DPF",), False),
        ("ch", "MC", (), True),
        ("ch", "JP", (), False),  # adequate for the EU, not on Annex 1
        ("us-ca", "IN", (), True),  # no border rule
        ("us-ca", "CN", (), False),  # 28 CFR 202
    ],
)
def test_which_country_a_packs_rows_may_send_to(
    pack: str, country: str, schemes: tuple[str, ...], backed: bool
) -> None:
    held = tuple(c for c in CENTRAL.certifications if c.scheme in schemes)
    to = type(CENTRAL)(CENTRAL.id, country, CENTRAL.entity, held)

    told = decide(load_packs((pack,)), "user.contact.email", to, ON, load_limits())

    assert (told.action is Action.TOKENISE) is backed


def test_the_united_kingdom_is_adequate_for_the_eu_until_its_decision_ends() -> None:
    to = type(CENTRAL)(CENTRAL.id, "GB", CENTRAL.entity)
    rules = load_packs(("eu",))

    (told,) = decide(rules, "user.contact.email", to, date(2031, 12, 27), load_limits()).rules
    after = decide(rules, "user.contact.email", to, date(2031, 12, 28), load_limits())

    assert told.valid_to == date(2031, 12, 27)
    assert after.action is Action.DROP


def test_the_bases_that_rest_on_a_list_are_marked() -> None:
    assert load_limits().listed == {"eu-gdpr:A45-3", "dpv:DataTransferLegalBasis"}


def test_swiss_customers_live_in_region_eu_under_both_laws() -> None:
    eu = load_regions()["eu"]

    assert "CH" in eu.jurisdictions
    assert eu.packs == ("eu", "ch")


HEAD = 'pack = "x"\ntitle = "X"\njurisdictions = ["XX"]\n'
ROW = """
[[rule]]
id = "x-name"
category = "user.name"
destination = "org"
action = "{action}"
source = "test"
valid_from = 2026-01-01
{more}
"""
BASIS = 'basis = "eu-gdpr:A46-2-c"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW.format(action="keep", more=""), "x.toml:9: bad-basis: x-name: every action but"),
        (ROW.format(action="drop", more=BASIS), "x.toml:12: bad-basis: x-name: a drop is no"),
        (ROW.format(action="keep", more='basis = "eu-gdpr:A45"'), "is no transfer basis we know"),
        (ROW.format(action="generalise", more=BASIS), "x.toml:9: missing-how"),
        (ROW.format(action="keep", more=BASIS + 'how = "year"'), "x.toml:13: bad-how"),
        (ROW.format(action="generalise", more=BASIS + 'how = "blur:3"'), "no generaliser 'blur'"),
        (ROW.format(action="drop", more="") * 2, "x.toml:15: id-reused: x-name"),
        (ROW.format(action="drop", more='colour = "red"'), "x.toml:12: unknown-key: unknown key"),
        (ROW.format(action="drop", more='pack = "y"') + "", "the pack is its file's"),
        (ROW.format(action="allow", more=""), "x.toml:9: bad-row: action"),
        (ROW.format(action="drop", more="valid_to = 2025-12-31"), "ends before it begins"),
        ("[[rule]]\nid = 3\n", "x.toml:4: bad-row: category"),
        ("[[rule", "x.toml:4: syntax"),
        ("", "no [[rule]]"),
        ("rule = 3\n", "write [[rule]]"),
    ],
)
def test_a_row_that_cannot_be_enforced_refuses_the_whole_pack(
    text: str, told: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(HEAD + text)

    with pytest.raises(BadPolicyError, match=r"x\.toml") as caught:
        load_pack(file)

    assert told in str(caught.value)


def test_a_pack_has_the_name_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "y.toml"
    file.write_text(HEAD + ROW.format(action="drop", more=""))

    with pytest.raises(BadPolicyError, match="a pack has the name of its file"):
        load_pack(file)


def test_a_pack_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPolicyError, match=r"y\.toml: no such policy pack"):
        load_pack(tmp_path / "y.toml")


def test_the_central_destination_is_described() -> None:
    assert CENTRAL.hosting_country == "US"
    with pytest.raises(BadPolicyError, match="no destination 'nowhere'"):
        load_destination("nowhere")


TOML = """# c
pack = "eu"
codes = ["AT", false, # why
 "NO"]

[[rule]]
id = "a"

[[rule]]
id = "b"
how = "x"
[a.b]
x = {y = [1,
2]}
[["c".d]]
k = 2
[c.d.e]
z = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("pack",), 2),
        (("codes", 1), 3),
        (("codes", 2), 4),
        (("rule", 0), 6),
        (("rule", 1, "how"), 11),
        (("rule", 0, "how"), 6),  # not there: the row that lacks it
        (("a", "b", "x", "y", 1), 14),
        (("c", "d", 0, "k"), 16),
        (("c", "d", 0, "e", "z"), 18),
        (("nowhere",), 1),
    ],
)
def test_a_value_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(TOML, path) == line
