"""A change of policy is told per decision, and what lets more out is told as loosened."""

from datetime import date
from pathlib import Path

import pytest

from residency.policy.diff import Change, Direction, changes, id_faults, moves
from residency.policy.files import PACKS, ROOT, SINGLE, files_at, shipped_files
from residency.policy.rulebook import load_rulebook

ON = date(2026, 11, 23)
SHIPPED = load_rulebook(shipped_files())
KNOWN = frozenset({"user.contact.email", "user.device.ip_address", "user.sensor"})
LOOSENED, TIGHTENED, GROUNDS = Direction


def swap(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def row(pack: str, category: str) -> str:
    """Return a shipped row's text."""
    rows = (ROOT / PACKS / f"{pack}.toml").read_text().split("[[rule]]\n")
    (found,) = [text for text in rows if f'category = "{category}"\n' in text]
    return found


def changed(copy: Path, pack: str, category: str, old: str, new: str) -> tuple[Change, ...]:
    """Return the changes after an edit of one row, of the categories in `KNOWN`."""
    text = row(pack, category)
    assert old in text
    swap(copy / PACKS / f"{pack}.toml", text, text.replace(old, new))
    return changes(SHIPPED, load_rulebook(files_at(copy)), ON, KNOWN)


def test_the_same_policy_has_no_changes(copy: Path) -> None:
    other = load_rulebook(files_at(copy))

    assert changes(SHIPPED, other, ON, KNOWN) == ()
    assert moves(SHIPPED, other) == ()


@pytest.mark.parametrize(
    ("category", "edit", "told"),
    [
        ("user.contact.email", ('"tokenise"', '"keep"'), (LOOSENED, "tokenise", "keep")),
        (
            "user.device.ip_address",
            ('"ip-network"', '"year"'),
            (TIGHTENED, "generalise (ip-network)", "generalise (year)"),
        ),
        (
            "user.device.ip_address",
            ('generalise"\nhow = "ip-network"', 'tokenise"'),
            (TIGHTENED, "generalise (ip-network)", "tokenise"),
        ),
        (
            "user.sensor",
            ('"drop"', '"generalise"\nhow = "year"\nbasis = "dpv:DataTransferLegalBasis"'),
            (LOOSENED, "drop", "generalise (year)"),
        ),
        (
            "user.sensor",
            ('"drop"', '"generalise"\nhow = "number-band:100"\nbasis = "eu-gdpr:A46-2-c"'),
            (LOOSENED, "drop", "generalise (number-band:100)"),
        ),
        (
            "user.contact.email",
            ("1798.100(d)", "1798.100(c)"),
            (GROUNDS, "tokenise", "tokenise"),
        ),
    ],
)
def test_a_changed_row_is_a_change_of_its_direction(
    copy: Path, category: str, edit: tuple[str, str], told: tuple[Direction, str, str]
) -> None:
    (change,) = changed(copy, "us-ca", category, *edit)

    assert (change.region, change.category, change.since) == ("us", category, ON)
    assert (change.direction, change.before, change.after) == told


def test_a_wider_generaliser_loosens(copy: Path) -> None:
    narrow = changed(copy, "us-ca", "user.device.ip_address", '"ip-network"', '"year"')
    back = changes(load_rulebook(files_at(copy)), SHIPPED, ON, KNOWN)

    assert [c.direction for c in narrow] == [TIGHTENED]
    assert [c.direction for c in back] == [LOOSENED]


def test_a_row_of_one_law_does_not_loosen_what_another_drops(copy: Path) -> None:
    """Region eu applies Swiss law, too, and there the row still drops."""
    told = changed(copy, "eu", "user.sensor", '"drop"', '"keep"\nbasis = "eu-gdpr:A45-3"')

    assert [c.direction for c in told] == [GROUNDS]


def test_a_change_that_begins_later_is_told_with_its_day(copy: Path) -> None:
    (told,) = changed(
        copy, "us-ca", "user.contact.email",
        "valid_from = 2026-02-05", "valid_from = 2026-02-05\nvalid_to = 2026-12-31",
    )  # fmt: skip

    assert (told.direction, told.since) == (TIGHTENED, date(2027, 1, 1))
    assert (told.rules_before, told.rules_after) == (("us-ca-contact-email",), ())


def test_a_certificate_that_ends_sooner_tightens_from_the_day_after(copy: Path) -> None:
    swap(copy / "destinations.toml", "valid_to = 2036-01-15", "valid_to = 2026-12-31")

    told = changes(SHIPPED, load_rulebook(files_at(copy)), ON, frozenset({"user.contact.email"}))

    assert {(c.region, c.direction, c.since) for c in told} == {
        ("eu", TIGHTENED, date(2027, 1, 1)),
        ("uk", TIGHTENED, date(2027, 1, 1)),
    }


def test_a_loosening_after_a_tightening_is_a_change_of_its_own(copy: Path) -> None:
    text = row("us-ca", "user.contact.email")
    now = text.replace('"tokenise"', '"drop"').replace("basis", "# basis")
    now = now.replace("02-05", "02-05\nvalid_to = 2026-12-31")
    later = text.replace("us-ca-contact-email", "us-ca-x").replace('"tokenise"', '"keep"')
    later = later.replace("2026-02-05", "2027-01-01")
    swap(copy / PACKS / "us-ca.toml", text, f"{now}\n[[rule]]\n{later}")

    told = changes(SHIPPED, load_rulebook(files_at(copy)), ON, KNOWN)

    assert [(c.direction, c.since, c.after) for c in told] == [
        (LOOSENED, date(2027, 1, 1), "keep"),
        (TIGHTENED, ON, "drop"),
    ]


def test_a_row_that_begins_later_is_told_with_its_day(copy: Path) -> None:
    text = row("us-ca", "user.contact.email")
    later = text.replace("us-ca-contact-email", "us-ca-x").replace("2026-02-05", "2027-03-01")
    later = later.replace('"tokenise"', '"drop"').replace("basis", "# basis")
    swap(copy / PACKS / "us-ca.toml", text, f"{text}\n[[rule]]\n{later}")

    (told,) = changes(SHIPPED, load_rulebook(files_at(copy)), ON, KNOWN)

    assert (told.direction, told.since) == (TIGHTENED, date(2027, 3, 1))


def test_a_certificate_without_an_end_in_sight_changes_nothing(copy: Path) -> None:
    swap(copy / "destinations.toml", "valid_to = 2036-01-15", "valid_to = 9999-12-31")

    told = changes(SHIPPED, load_rulebook(files_at(copy)), ON, frozenset({"user.contact.email"}))

    assert {(c.direction, c.since) for c in told} == {(LOOSENED, date(2036, 1, 16))}


def test_loosened_changes_come_first(copy: Path) -> None:
    changed(copy, "us-ca", "user.device.ip_address", 'generalise"\nhow = "ip-network"', 'tokenise"')
    told = changed(copy, "us-ca", "user.contact.email", '"tokenise"', '"keep"')

    assert [c.direction for c in told] == [LOOSENED, TIGHTENED]


def test_a_jurisdiction_that_moves_is_told_and_one_that_is_refused_is_tightened(
    copy: Path,
) -> None:
    swap(copy / "regions.toml", '  "CH",\n', "")
    swap(copy / "regions.toml", '"IS", "LI", "NO",', '"IS", "LI",')
    swap(copy / "regions.toml", '["GB"]', '["GB", "NO"]')

    told = moves(SHIPPED, load_rulebook(files_at(copy)))

    assert [(m.jurisdiction, m.before, m.after, m.direction) for m in told] == [
        ("NO", "eu", "uk", LOOSENED),
        ("CH", "eu", None, TIGHTENED),
    ]


def test_a_region_that_goes_is_tightened_and_one_that_comes_is_loosened(copy: Path) -> None:
    text = (copy / "regions.toml").read_text()
    (copy / "regions.toml").write_text(text[: text.index("[us]")])
    without = load_rulebook(files_at(copy))
    email = frozenset({"user.contact.email"})

    assert [c.direction for c in changes(SHIPPED, without, ON, email)] == [TIGHTENED]
    assert [c.direction for c in changes(without, SHIPPED, ON, email)] == [LOOSENED]


def test_an_id_that_goes_is_named_unless_it_is_retired(copy: Path) -> None:
    swap(copy / PACKS / "us-ca.toml", '"us-ca-sensor"', '"us-ca-sensors"')
    gone = id_faults(SHIPPED, load_rulebook(files_at(copy)))
    retired = copy / SINGLE["retired"]
    retired.write_text(retired.read_text() + '\n[[retired]]\nid = "us-ca-sensor"\nwhy = "x"\n')

    assert [text.split(":")[0] for text in gone] == ["us-ca-sensor"]
    assert id_faults(SHIPPED, load_rulebook(files_at(copy))) == ()


def test_an_id_that_speaks_about_something_else_is_named(copy: Path) -> None:
    text = row("us-ca", "user.sensor")
    swap(copy / PACKS / "us-ca.toml", text, text.replace('"user.sensor"', '"user.social"'))

    (told,) = id_faults(SHIPPED, load_rulebook(files_at(copy)))

    assert told.startswith("us-ca-sensor: spoke about user.sensor")


def test_a_destination_that_goes_is_tightened_and_one_that_comes_is_loosened(copy: Path) -> None:
    (copy / "destinations.toml").write_text('[other]\nhosting_country = "US"\nentity = "x"\n')
    without = load_rulebook(files_at(copy))
    email = frozenset({"user.contact.email"})

    gone = changes(SHIPPED, without, ON, email)
    come = changes(without, SHIPPED, ON, email)

    assert {c.direction for c in gone if c.since == ON} == {TIGHTENED}
    assert {c.direction for c in come if c.since == ON} == {LOOSENED}
