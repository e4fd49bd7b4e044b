"""The lint names every fault at once, each in its file and on its line."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from residency.policy.files import (
    PACKS,
    ROOT,
    SINGLE,
    BadPolicyError,
    Finding,
    PolicyFile,
    Severity,
    files_at,
)
from residency.policy.lint import lint, lint_yaml
from schemas.fieldcheck import categories
from schemas.registry import load_registry

ON = date(2026, 11, 23)
USED = frozenset(leaf.category for schema in load_registry().raw() for leaf in schema.leaves)
EU, US = f"{PACKS}/eu.toml", f"{PACKS}/us-ca.toml"
ROW = """
[[rule]]
id = "{id}"
category = "{category}"
destination = "salesforce-central"
action = "{action}"
source = "test"
valid_from = 2026-02-05
{more}
"""
BASIS = 'basis = "eu-gdpr:A45-3"'


def findings(folder: Path, on: date = ON) -> tuple[Finding, ...]:
    return lint(files_at(folder), on, categories(), USED)


def problems(folder: Path, on: date = ON) -> list[tuple[str, int, str]]:
    """Return (file, line, kind) of every problem."""
    return [
        (str(Path(f.file).relative_to(folder)), f.line, f.kind)
        for f in findings(folder, on)
        if f.severity is Severity.PROBLEM
    ]


def told(folder: Path, kind: str, on: date = ON) -> str:
    """Return the text of the only problem of a kind."""
    (text,) = [
        f.text for f in findings(folder, on) if f.kind == kind and f.severity is Severity.PROBLEM
    ]
    return text


def swap(file: Path, old: str, new: str) -> int:
    """Put *new* for the first *old*; return the line it begins on."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def add(file: Path, **row: str) -> int:
    """Append a row to a pack and return the line of its ``[[rule]]``."""
    text = file.read_text()
    file.write_text(text + ROW.format(**{"action": "drop", "more": "", **row}))
    return text.count("\n") + 2


def open_row(file: Path, category: str) -> int:
    """Let the row on a category keep what it dropped; return the line of its category."""
    to = '"\ndestination = "salesforce-central"\naction = '
    return swap(file, f'"{category}{to}"drop"', f'"{category}"\n{BASIS}{to[1:]}"keep"')


def line_of_row(file: Path, row: str) -> int:
    """Return the line of a row's ``[[rule]]``."""
    return file.read_text().split(f'id = "{row}"\n')[0].count("\n")


def test_the_shipped_policy_has_no_fault(copy: Path) -> None:
    assert problems(copy) == []


def test_a_row_that_drops_what_no_schema_has_is_a_note(copy: Path) -> None:
    notes = [f for f in findings(copy) if f.kind == "unused-row"]

    assert {f.severity for f in notes} == {Severity.NOTE}
    at = line_of_row(copy / EU, "eu-sensor") + 2
    assert [f.line for f in notes if "eu-sensor:" in f.text] == [at]


def test_a_row_that_permits_what_no_schema_has_is_a_problem(copy: Path) -> None:
    at = open_row(copy / EU, "user.sensor")

    assert problems(copy) == [(EU, at, "unused-row")]


def test_an_unknown_category_is_named(copy: Path) -> None:
    at = add(copy / EU, id="eu-new", category="user.contact.emial")

    assert problems(copy) == [(EU, at + 2, "unknown-category")]
    assert "'user.contact.emial'" in told(copy, "unknown-category")


def test_a_row_under_a_stricter_one_is_dead(copy: Path) -> None:
    dead = line_of_row(copy / EU, "eu-contact-email")
    at = add(copy / EU, id="eu-new", category="user.contact.email")

    assert problems(copy) == [(EU, dead + 2, "dead-row")]
    assert "eu-contact-email: eu-new (" in told(copy, "dead-row")
    assert f"eu.toml:{at})" in told(copy, "dead-row")


def test_every_row_below_a_broader_drop_is_dead(copy: Path) -> None:
    add(copy / US, id="us-ca-new", category="user.contact")

    kinds = {(file, kind) for file, _, kind in problems(copy)}
    dead = [f.text for f in findings(copy) if f.kind == "dead-row"]

    assert kinds == {(US, "dead-row"), (US, "shadowed-row")}
    assert {text.split(":")[0] for text in dead} == {
        "us-ca-contact-address-city",
        "us-ca-contact-address-country",
        "us-ca-contact-address-postal-code",
        "us-ca-contact-address-street",
        "us-ca-contact-email",
        "us-ca-contact-phone-number",
    }
    assert all("us-ca-new" in text and "user.contact" in text for text in dead)


def test_a_row_under_one_that_says_the_same_is_shadowed(copy: Path) -> None:
    at = add(copy / EU, id="eu-new", category="user.biometric.voice")

    assert problems(copy) == [(EU, at + 2, "shadowed-row")]
    assert "eu-biometric (" in told(copy, "shadowed-row")


def test_of_two_rows_that_say_the_same_the_later_is_shadowed(copy: Path) -> None:
    at = add(copy / EU, id="eu-new", category="user.sensor")

    assert problems(copy) == [(EU, at + 2, "shadowed-row")]


def test_an_exact_row_above_shadows_nothing_below(copy: Path) -> None:
    at = add(copy / EU, id="eu-new", category="user.sensor", more="exact = true")

    assert problems(copy) == [(EU, at + 2, "shadowed-row")]  # by eu-sensor, not the other way


def test_a_stricter_row_that_lasts_less_long_kills_nothing(copy: Path) -> None:
    add(copy / EU, id="eu-new", category="user.contact.email", more="valid_to = 2026-12-31")

    assert problems(copy) == []


def test_a_stricter_row_kills_one_that_ends_with_it_or_before(copy: Path) -> None:
    text = '"user.contact.email"\n'
    swap(copy / EU, text, text + "valid_to = 2027-06-30\n")
    add(copy / EU, id="eu-new", category="user.contact.email", more="valid_to = 2027-06-30")

    assert {kind for _, _, kind in problems(copy)} == {"dead-row"}


def test_a_stricter_row_for_another_destination_kills_nothing(copy: Path) -> None:
    org = copy / "destinations.toml"
    org.write_text(org.read_text() + '\n[other]\nhosting_country = "US"\nentity = "x"\n')
    add(copy / EU, id="eu-new", category="user.contact.email")
    swap(copy / EU, text := ROW.format(id="eu-new", category="user.contact.email", action="drop",
         more=""), text.replace("salesforce-central", "other"))  # fmt: skip

    assert "dead-row" not in {kind for _, _, kind in problems(copy)}


@pytest.mark.parametrize(
    ("scheme", "kinds"), [("ISO 27001", {"unbacked-basis"}), ("EU-US DPF", set[str]())]
)
def test_a_certificate_that_a_row_itself_asks_for_must_be_held(
    copy: Path, scheme: str, kinds: set[str]
) -> None:
    text = '"user.contact.email"\n'
    at = swap(copy / EU, text, f'{text}requires = "{scheme}"\n')

    assert problems(copy) == [(EU, at + 1, kind) for kind in kinds]


def test_two_ways_to_generalise_have_no_common_answer(copy: Path) -> None:
    more = f'how = "ip-network"\n{BASIS}'
    at = add(
        copy / EU, id="eu-new", category="user.device.ip_address", action="generalise", more=more
    )
    swap(copy / EU, 'how = "ip-network"', 'how = "year"')

    assert problems(copy)[-1] == (EU, at + 7, "two-ways")


@pytest.mark.parametrize("other", ["uk", "us-ca", "ch"])
def test_an_id_of_another_pack_is_reused(copy: Path, other: str) -> None:
    at = add(copy / EU, id=f"{other}-sensor", category="user.sensor", more="exact = true")
    swap(copy / EU, 'category = "user.sensor"', 'category = "user.user_sensor"')

    reused = [p for p in problems(copy) if p[2] == "id-reused"]

    at_other = line_of_row(copy / PACKS / f"{other}.toml", f"{other}-sensor") + 1
    later = (EU, at + 1) if other == "ch" else (f"{PACKS}/{other}.toml", at_other)
    assert reused == [(*later, "id-reused")]


def test_an_id_is_reused_within_a_pack(copy: Path) -> None:
    at = add(copy / EU, id="eu-payment", category="user.sensor")

    assert (EU, at + 1, "id-reused") in problems(copy)


def test_a_retired_id_is_reused(copy: Path) -> None:
    retired = "eu-health-and-medical-genetic"
    at = add(copy / EU, id=retired, category="user.health_and_medical.genetic")

    assert (EU, at + 1, "id-reused") in problems(copy)
    assert "retired_ids.toml:" in told(copy, "id-reused")


def test_a_row_that_has_ended_is_expired(copy: Path) -> None:
    row = line_of_row(copy / EU, "eu-sensor")
    swap(copy / EU, 'category = "user.sensor"', 'category = "user.sensor"\nvalid_to = 2026-11-22')

    found = problems(copy)

    assert (EU, row + 3, "expired-row") in found
    assert {kind for _, _, kind in found} == {"expired-row", "incomplete-pack"}


def test_a_row_is_good_on_its_last_day(copy: Path) -> None:
    swap(copy / EU, 'category = "user.sensor"', 'category = "user.sensor"\nvalid_to = 2026-11-23')

    assert problems(copy) == []


@pytest.mark.parametrize(
    ("category", "law"),
    [
        ("user.demographic.religious_belief", "GDPR Art. 9(1)"),
        ("user.health_and_medical", "GDPR Art. 9(1)"),
        ("user.criminal_history", "GDPR Art. 10"),
    ],
)
def test_a_special_category_that_is_given_more_than_drop_is_opened(
    copy: Path, category: str, law: str
) -> None:
    at = open_row(copy / EU, category) + 3

    assert (EU, at, "special-opened") in problems(copy)
    assert f"{category} ({law})" in told(copy, "special-opened")


@pytest.mark.parametrize(
    ("category", "reached"),
    [
        ("user.demographic", "user.demographic.religious_belief"),
        ("user", "user.health_and_medical.genetic"),
    ],
)
def test_a_broad_row_that_reaches_down_to_a_special_category_opens_it(
    copy: Path, category: str, reached: str
) -> None:
    for row in ("user.demographic.religious_belief", "user.health_and_medical"):
        swap(copy / EU, f'category = "{row}"\n', f'category = "{row}"\nvalid_to = 2027-01-01\n')
    at = add(copy / EU, id="eu-new", category=category, action="keep", more=BASIS)

    assert (EU, at + 4, "special-opened") in problems(copy)
    assert reached in told(copy, "special-opened")


def test_a_broad_row_above_rows_that_drop_opens_nothing(copy: Path) -> None:
    add(copy / EU, id="eu-new", category="user.demographic", action="keep", more=BASIS)

    assert "special-opened" not in {kind for _, _, kind in problems(copy)}


OVERRIDE = """
[[override]]
id = "ov-1"
rule = "{rule}"
category = "{category}"
law = "GDPR Art. 9(2)(a)"
why = "test"
approved_by = "DPO"
valid_from = 2026-01-01
valid_to = {valid_to}
"""
OVERRIDES = SINGLE["overrides"]


def override(folder: Path, **row: str) -> int:
    """Append an override and return the line of its ``[[override]]``."""
    file = folder / OVERRIDES
    text = file.read_text()
    values = {"rule": "eu-biometric", "category": "user.biometric", "valid_to": "2026-12-31"}
    file.write_text(text + OVERRIDE.format(**{**values, **row}))
    return text.count("\n") + 2


def test_an_override_lets_its_row_open_its_category(copy: Path) -> None:
    open_row(copy / EU, "user.biometric")
    override(copy)

    kinds = {kind for _, _, kind in problems(copy)}

    assert "special-opened" not in kinds


def test_an_override_that_begins_with_its_row_lets_it_open_its_category(copy: Path) -> None:
    open_row(copy / EU, "user.biometric")
    text = (copy / EU).read_text()
    start = text.index('category = "user.biometric"')
    row = text[start:].replace("2026-02-05", "2027-01-01", 1)
    (copy / EU).write_text(text[:start] + row)
    override(copy, valid_to="2027-12-31")
    swap(
        copy / OVERRIDES,
        "valid_from = 2026-01-01\nvalid_to = 2027",
        "valid_from = 2027-01-01\nvalid_to = 2027",
    )

    assert "special-opened" not in {kind for _, _, kind in problems(copy)}


@pytest.mark.parametrize(
    ("row", "key", "kind"),
    [
        ({"rule": "eu-none"}, 2, "unused-override"),
        ({"category": "user.contact.email"}, 3, "unused-override"),  # its row says nothing of it
        ({"rule": "eu-sensor", "category": "user.sensor"}, 3, "unused-override"),  # not special
        ({"category": "user.biometric.gait"}, 3, "unknown-category"),
        ({"valid_to": "2026-11-22"}, 8, "expired-override"),
    ],
)
def test_an_override_that_frees_nothing_is_named(
    copy: Path, row: dict[str, str], key: int, kind: str
) -> None:
    at = override(copy, **row)

    assert (OVERRIDES, at + key, kind) in problems(copy)


def test_an_override_without_a_reason_is_refused(copy: Path) -> None:
    at = override(copy)
    swap(copy / OVERRIDES, 'why = "test"\n', "")

    assert (OVERRIDES, at, "bad-row") in problems(copy)


def test_a_row_whose_country_is_not_in_the_set_is_unbacked(copy: Path) -> None:
    at = swap(copy / "destinations.toml", '"US"', '"IN"')

    found = problems(copy)

    assert at == 5
    assert {(file, kind) for file, _, kind in found} == {
        (f"{PACKS}/{pack}.toml", "unbacked-basis") for pack in ("eu", "uk", "ch")
    }
    row = line_of_row(copy / EU, "eu-contact-email")
    assert (EU, row + 6, "unbacked-basis") in found
    assert "eu-gdpr:A45-3 to IN is not backed by eu-adequate" in str(findings(copy))


def test_a_row_that_needs_a_certificate_the_destination_lacks_is_unbacked(copy: Path) -> None:
    swap(copy / "destinations.toml", '"Swiss-US DPF"', '"Swiss-US Privacy Shield"')

    found = problems(copy)

    assert {(file, kind) for file, _, kind in found} == {(f"{PACKS}/ch.toml", "unbacked-basis")}
    assert "asks for a certificate in 'Swiss-US DPF'" in str(findings(copy))


def test_a_certificate_that_has_ended_is_expired_and_so_is_what_rests_on_it(copy: Path) -> None:
    file = copy / "destinations.toml"
    swap(file, "valid_to = 2036-01-15", "valid_to = 2026-11-22")

    found = problems(copy)

    assert ("destinations.toml", 11, "expired-certificate") in found
    assert {kind for file, _, kind in found if file == EU} == {"unbacked-basis"}


def test_a_renewed_certificate_is_not_expired(copy: Path) -> None:
    file = copy / "destinations.toml"
    swap(file, "valid_to = 2036-01-15", "valid_to = 2026-11-22")
    renewal = '[[salesforce-central.certifications]]\nscheme = "EU-US DPF"\n'
    file.write_text(
        file.read_text() + f"\n{renewal}valid_from = 2026-11-01\nvalid_to = 2027-11-01\n"
    )

    assert problems(copy) == []


def test_a_set_that_has_ended_is_an_expired_basis(copy: Path) -> None:
    text = (copy / SINGLE["sets"]).read_text()
    at = text[: text.index('country = "GB"')].count("\n")

    found = problems(copy, date(2031, 12, 28))

    assert found == [(SINGLE["sets"], at, "expired-basis")]


def test_a_bare_no_in_a_toml_list_is_named(copy: Path) -> None:
    at = swap(copy / SINGLE["sets"], '"IS", "LI", "NO",\n', '"IS", "LI", NO,\n')

    assert (SINGLE["sets"], at, "unquoted-no") in problems(copy)


def test_a_no_that_became_false_on_its_way_through_yaml_is_named(copy: Path) -> None:
    at = swap(copy / "regions.toml", '"IS", "LI", "NO",', '"IS", "LI", false,')

    found = problems(copy)

    assert ("regions.toml", at, "unquoted-no") in found
    assert {kind for _, _, kind in found} == {"unquoted-no", "unmapped-jurisdiction"}


def test_a_syntax_error_is_on_its_line_and_hides_no_fault_of_another_file(copy: Path) -> None:
    at = swap(copy / EU, 'title = "EU', "title = EU")
    dead = add(copy / US, id="us-ca-new", category="user.biometric.voice")

    found = problems(copy)

    assert (EU, at, "syntax") in found
    assert (US, dead + 2, "shadowed-row") in found


@pytest.mark.parametrize("category", ["user.contact.email", "user.sensor"])  # open, and a drop
def test_an_unknown_destination_is_named(copy: Path, category: str) -> None:
    to = f'"{category}"\ndestination = "salesforce-'
    at = swap(copy / EU, f"{to}central", f"{to}north")

    assert (EU, at + 1, "unknown-destination") in problems(copy)


@pytest.mark.parametrize(
    ("old", "new", "offset", "kind"),
    [
        ('action = "generalise"\nhow = "year"\n', 'action = "generalise"\n', 0, "missing-how"),
        ('how = "year"', 'how = "years"', 0, "bad-how"),
        ('basis = "eu-gdpr:A45-3"\n', "", -2, "bad-basis"),
        ('basis = "eu-gdpr:A45-3"', 'basis = "eu-gdpr:A46-9"', 0, "bad-basis"),
        ("valid_from = 2026-02-05", 'valid_from = "soon"', 0, "bad-row"),
        ('action = "drop"', 'action = "allow"', 0, "bad-row"),
        ("exact = true", "exactly = true", 0, "unknown-key"),
    ],
)
def test_a_row_that_cannot_be_enforced_is_on_its_line(
    copy: Path, old: str, new: str, offset: int, kind: str
) -> None:
    at = swap(copy / EU, old, new)

    assert (EU, at + offset, kind) in problems(copy)


def test_a_category_without_a_row_makes_its_pack_incomplete(copy: Path) -> None:
    text = (copy / EU).read_text()
    start = text.index('[[rule]]\nid = "eu-sensor"')
    end = text.index("[[rule]]", start + 1)
    (copy / EU).write_text(text[:start] + text[end:])

    assert problems(copy) == [(EU, text.index('pack = "eu"') and 7, "incomplete-pack")]
    assert "user.sensor to salesforce-central" in told(copy, "incomplete-pack")


def test_a_row_above_that_permits_does_not_complete_a_pack(copy: Path) -> None:
    """A key that is new in the category list must not be open because one above it is."""
    swap(copy / EU, 'category = "user.name"\nexact = true\n', 'category = "user.name"\n')
    text = (copy / EU).read_text()
    start = text.index('[[rule]]\nid = "eu-name-first"')
    (copy / EU).write_text(text[:start] + text[text.index("[[rule]]", start + 1) :])

    assert "user.name.first" in told(copy, "incomplete-pack")


def test_a_jurisdiction_without_a_region_is_named(copy: Path) -> None:
    swap(copy / "regions.toml", '  "CH",\n', "")
    at = (copy / f"{PACKS}/ch.toml").read_text().split("jurisdictions")[0].count("\n") + 1

    assert problems(copy) == [(f"{PACKS}/ch.toml", at, "unmapped-jurisdiction")]


def test_a_jurisdiction_with_two_regions_is_named(copy: Path) -> None:
    at = swap(copy / "regions.toml", '["GB"]', '["GB", "DE"]')

    found = problems(copy)

    assert ("regions.toml", at, "mapped-twice") in found
    assert "DE is mapped to eu and to uk" in told(copy, "mapped-twice")


def test_a_region_that_serves_a_jurisdiction_without_its_pack_is_named(copy: Path) -> None:
    swap(copy / "regions.toml", 'packs = ["eu", "ch"]', 'packs = ["eu"]')
    at = (copy / "regions.toml").read_text().split('"CH"')[0].count("\n") + 1

    found = problems(copy)

    assert ("regions.toml", at, "missing-pack") in found
    assert {kind for _, _, kind in found} == {"missing-pack"}


def test_a_region_that_names_a_pack_which_is_not_there_is_named(copy: Path) -> None:
    at = swap(copy / "regions.toml", 'packs = ["uk"]', 'packs = ["gb"]')

    assert ("regions.toml", at, "missing-pack") in problems(copy)


@pytest.mark.parametrize(
    ("file", "old", "new", "kind"),
    [
        ("regions.toml", '["GB"]', '["UKK"]', "bad-code"),
        ("destinations.toml", '"US"', '"us"', "bad-code"),
        (SINGLE["sets"], 'countries = ["GB"]', 'countries = ["gb"]', "bad-code"),
        (SINGLE["sets"], 'countries = ["GB"]', 'countries = ["GB", "GB"]', "bad-code"),
        (SINGLE["sets"], 'basis = "eu-gdpr:A45-3"', 'basis = "eu-gdpr:A45"', "bad-basis"),
        (SINGLE["special"], '"user.biometric"', '"user.bionic"', "unknown-category"),
        (SINGLE["special"], 'us-ca = "Civ', 'us-tx = "Civ', "missing-pack"),
        (SINGLE["bases"], '"eu-gdpr:A46-2-a"', '"Article 46"', "bad-basis"),
        ("destinations.toml", "valid_from = 2026-01-15", "valid_from = 2036-01-16", "bad-row"),
    ],
)
def test_a_limit_that_says_nothing_we_can_read_is_on_its_line(
    copy: Path, file: str, old: str, new: str, kind: str
) -> None:
    at = swap(copy / file, old, new)

    lines = [line for name, line, found in problems(copy) if (name, found) == (file, kind)]

    assert lines == [at + (1 if kind == "bad-row" else 0)]


def test_a_list_of_special_categories_without_a_row_is_refused(copy: Path) -> None:
    (copy / SINGLE["special"]).write_text("")

    assert (SINGLE["special"], 1, "bad-row") in problems(copy)


def test_an_adequacy_row_without_any_set_is_unbacked(copy: Path) -> None:
    (copy / SINGLE["sets"]).write_text("")

    files = {file for file, _, kind in problems(copy) if kind == "unbacked-basis"}

    assert files == {f"{PACKS}/{pack}.toml" for pack in ("eu", "uk", "ch", "us-ca")}


def test_every_fault_is_told_in_one_run(copy: Path) -> None:
    faults = [
        (EU, add(copy / EU, id="eu-new", category="user.typo") + 2, "unknown-category"),
        (EU, add(copy / EU, id="eu-more", category="user.biometric.voice") + 2, "shadowed-row"),
        ("regions.toml", swap(copy / "regions.toml", '["GB"]', '["GB", "FR"]'), "mapped-twice"),
        ("destinations.toml", swap(copy / "destinations.toml", '"US"', '"XXX"'), "bad-code"),
    ]

    assert set(faults) <= set(problems(copy))


def test_a_folder_without_packs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPolicyError, match="no policy pack there"):
        files_at(tmp_path)


@pytest.mark.parametrize("below", ["", "policy", "policy/packs"])
def test_a_copy_is_found_from_any_of_its_folders(copy: Path, below: str) -> None:
    swap(copy / "destinations.toml", '"US"', '"IN"')

    assert "unbacked-basis" in {kind for _, _, kind in problems_at(copy / below)}


def problems_at(folder: Path) -> list[tuple[str, int, str]]:
    return [(f.file, f.line, f.kind) for f in findings(folder) if f.severity is Severity.PROBLEM]


def test_one_pack_file_stands_in_for_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "eu.toml"
    shutil.copy(ROOT / EU, file)
    at = add(file, id="eu-new", category="user.typo")

    assert problems_at(file) == [(str(file), at + 2, "unknown-category")]


YAML = """eu27: [AT, BE]
eea_extra: [IS, LI, 'NO']
quoted:
  - "no"
  - NO
  - No
map: {NO: 1, on: "x", ok: true}
text: NOR
"""


def test_every_bare_word_that_yaml_reads_as_a_truth_value_is_named() -> None:
    found = lint_yaml(PolicyFile("sets.yaml", YAML))

    assert [(f.line, f.kind) for f in found] == [
        (5, "unquoted-no"),
        (6, "unquoted-no"),
        (7, "unquoted-no"),
    ]


def test_what_is_no_yaml_is_named_with_its_line() -> None:
    (found,) = lint_yaml(PolicyFile("sets.yaml", "a: 1\nb: [1\nc: 2\n"))

    assert (found.line, found.kind) == (3, "syntax")
    assert lint_yaml(PolicyFile("empty.yaml", "")) == ()


def test_a_bare_no_hides_no_other_fault_of_its_file(copy: Path) -> None:
    """The lint reads on as if it were quoted: a pack is not gone because of one word."""
    at = swap(copy / EU, '"LI", "NO"]', '"LI", NO]')
    row = add(copy / EU, id="eu-new", category="user.contact.emial")

    assert problems(copy) == [(EU, at, "unquoted-no"), (EU, row + 2, "unknown-category")]


def test_all_faults_of_a_row_are_told_at_once_readable_or_not(copy: Path) -> None:
    more = 'how = "decade"\nbasis = "gdpr"\ncolour = "red"'
    row = add(copy / EU, id="eu-new", category="user.contact.emial", action="encrypt", more=more)
    swap(copy / EU, 'emial"\ndestination = "salesforce-central', 'emial"\ndestination = "north')

    faults = [(line - row, kind) for file, line, kind in problems(copy) if file == EU]

    assert faults == [
        (2, "unknown-category"),
        (3, "unknown-destination"),
        (4, "bad-row"),
        (7, "bad-how"),
        (8, "bad-basis"),
        (9, "unknown-key"),
    ]


def test_an_unknown_key_hides_no_other_fault_of_its_row(copy: Path) -> None:
    row = add(copy / EU, id="eu-new", category="user.contact.emial", more='colour = "red"')

    assert problems(copy) == [(EU, row + 2, "unknown-category"), (EU, row + 7, "unknown-key")]


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_row_without_a_word_on_its_law_is_none(copy: Path, empty: str) -> None:
    at = swap(copy / EU, 'source = "GDPR Art.4(1),44"', f'source = "{empty}"')

    assert (EU, at, "bad-row") in problems(copy)


def test_an_override_that_names_no_law_is_none(copy: Path) -> None:
    override(copy)
    at = swap(copy / OVERRIDES, 'law = "GDPR Art. 9(2)(a)"\nwhy = "test"', 'law = ""\nwhy = "test"')

    assert (OVERRIDES, at, "bad-row") in problems(copy)
