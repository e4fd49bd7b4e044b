"""The strictest matching rule wins, silence is refusal, and a pack is enforced whole or not."""

from datetime import date
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.policy.packs import (
    PACKS_FOLDER,
    BadPolicyError,
    load_destination,
    load_pack,
    load_packs,
)
from residency.policy.rules import STRICTNESS, Action, Decision, Rule, decide

ON = date(2026, 11, 23)
CATEGORIES = ("user", "user.contact", "user.contact.email", "user.contacts", "user.name")


def rule(category: str, action: Action, **more: object) -> Rule:
    values = {"id": f"r-{category}-{action}", "destination": "org", "source": "test", **more}
    return Rule(category=category, action=action, valid_from=date(2020, 1, 1), **values)  # type: ignore[arg-type]


rules = st.builds(rule, st.sampled_from(CATEGORIES), st.sampled_from(Action))


@given(st.lists(rules, max_size=5), st.sampled_from(CATEGORIES))
def test_the_strictest_matching_rule_wins_whatever_the_order(
    given_rules: list[Rule], category: str
) -> None:
    matching = [
        r for r in given_rules if category == r.category or category.startswith(r.category + ".")
    ]
    strictest = min((r.action for r in matching), key=STRICTNESS.index, default=Action.DROP)

    answers = {decide(order, category, "org", ON).action for order in permutations(given_rules)}

    assert answers == {strictest}


def test_drop_is_stricter_than_tokenise_than_generalise_than_label_than_keep() -> None:
    assert [a.value for a in STRICTNESS] == ["drop", "tokenise", "generalise", "label", "keep"]


def test_a_category_no_rule_speaks_about_is_dropped() -> None:
    assert decide([rule("user.name", Action.KEEP)], "user.contact.email", "org", ON) == Decision(
        Action.DROP
    )


@pytest.mark.parametrize(
    ("spoken", "asked", "matches"),
    [
        ("user.contact", "user.contact.email", True),
        ("user.contact", "user.contact", True),
        ("user.contact", "user.contacts", False),  # a prefix of the word is no parent
        ("user.contact.email", "user.contact", False),
    ],
)
def test_a_rule_covers_its_category_and_what_lies_below(
    spoken: str, asked: str, matches: bool
) -> None:
    assert rule(spoken, Action.KEEP).covers(asked) is matches


@pytest.mark.parametrize(
    ("on", "action"),
    [
        (date(2019, 12, 31), Action.DROP),
        (date(2020, 1, 1), Action.KEEP),
        (date(2026, 6, 30), Action.KEEP),
        (date(2026, 7, 1), Action.DROP),
    ],
)
def test_a_rule_speaks_only_within_its_dates_both_ends_included(on: date, action: Action) -> None:
    dated = rule("user.name", Action.KEEP, valid_to=date(2026, 6, 30))

    assert decide([dated], "user.name", "org", on).action is action


def test_a_rule_for_another_destination_is_silent() -> None:
    other = rule("user.name", Action.KEEP, destination="elsewhere")

    assert decide([other], "user.name", "org", ON).action is Action.DROP


def test_two_ways_to_generalise_leave_no_common_answer() -> None:
    ways = [rule("user", Action.GENERALISE, how=how, id=how) for how in ("year", "ip-network")]

    decision = decide(ways, "user.name", "org", ON)

    assert (decision.action, [r.id for r in decision.rules]) == (
        Action.DROP,
        ["ip-network", "year"],
    )


def test_the_decision_names_every_rule_that_determined_it_and_no_other() -> None:
    drops = [rule("user.name", Action.DROP, id="b"), rule("user", Action.DROP, id="a")]

    decision = decide([*drops, rule("user.name", Action.KEEP)], "user.name", "org", ON)

    assert [r.id for r in decision.rules] == ["a", "b"]


@pytest.mark.parametrize("path", sorted(PACKS_FOLDER.glob("*.toml")), ids=lambda p: p.stem)
def test_each_shipped_pack_drops_special_categories_and_never_keeps_free_text(path: Path) -> None:
    pack = load_packs((path.stem,))

    for category in ("user.health_and_medical", "user.biometric", "user.criminal_history"):
        assert decide(pack, category, "salesforce-central", ON).action is Action.DROP
    assert decide(pack, "user.content.private", "salesforce-central", ON).action is Action.LABEL


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
HEAD = 'pack = "x"\ntitle = "X"\njurisdictions = ["XX"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ROW.format(action="keep", more=""), "needs a transfer `basis`"),
        (ROW.format(action="drop", more='basis = "b"'), "needs a transfer `basis`"),
        (ROW.format(action="generalise", more='basis = "b"'), "`how` belongs to"),
        (ROW.format(action="keep", more='basis = "b"\nhow = "year"'), "`how` belongs to"),
        (ROW.format(action="generalise", more='basis = "b"\nhow = "blur"'), "no generaliser"),
        (ROW.format(action="drop", more="") * 2, "id used twice"),
        (ROW.format(action="drop", more='colour = "red"'), "unknown key 'colour'"),
        (ROW.format(action="allow", more=""), "rule.0.action"),
        ("[[rule]]\nid = 3\n", "rule.0"),
        ("[[rule", "x.toml"),
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


def test_the_central_destination_is_described() -> None:
    assert load_destination().hosting_country == "US"
    with pytest.raises(BadPolicyError, match="no destination 'nowhere'"):
        load_destination("nowhere")
