"""The strictest row wins, silence is refusal, and no row exceeds what the law lets it allow."""

from dataclasses import replace
from datetime import date
from itertools import permutations
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from residency.policy.destinations import Certification, Destination
from residency.policy.limits import Limits, Member, Override, SetKind, Special, TransferSet, within
from residency.policy.rules import STRICTNESS, Action, Decision, Rule, decide

ON = date(2026, 11, 23)
ORG = Destination("org", "US", "x")
CATEGORIES = ("user", "user.contact", "user.contact.email", "user.contacts", "user.name")
HEALTH = "user.health"
SPECIAL = Special(HEALTH, {"p": "Art. 9", "q": "s. 10"})
FREE = Limits()


def rule(category: str, action: Action, **more: object) -> Rule:
    values = {"id": f"r-{category}-{action}", "destination": "org", "source": "test", **more}
    return Rule(category=category, action=action, valid_from=date(2020, 1, 1), **values)  # type: ignore[arg-type]


def decided(rules: Any, category: str, limits: Limits = FREE, to: Destination = ORG) -> Decision:
    return decide(rules, category, to, ON, limits)


packs = st.sampled_from(["p", "q"])
rules = st.builds(
    lambda category, action, pack, exact: rule(category, action, pack=pack, exact=exact),
    st.sampled_from((*CATEGORIES, HEALTH, HEALTH + ".genes")),
    st.sampled_from(Action),
    packs,
    st.booleans(),
)


@given(st.lists(rules, max_size=5), st.sampled_from(CATEGORIES))
def test_the_strictest_matching_rule_wins_whatever_the_order(
    given_rules: list[Rule], category: str
) -> None:
    one_pack = [replace(r, pack="p") for r in given_rules]
    matching = [
        r
        for r in one_pack
        if category == r.category or (category.startswith(r.category + ".") and not r.exact)
    ]
    strictest = min((r.action for r in matching), key=STRICTNESS.index, default=Action.DROP)

    answers = {decided(order, category).action for order in permutations(one_pack)}

    assert answers == {strictest}


@given(st.lists(rules, max_size=5), st.sampled_from(CATEGORIES))
def test_the_whole_decision_is_the_same_in_every_order(
    given_rules: list[Rule], category: str
) -> None:
    numbered = [replace(r, id=str(n)) for n, r in enumerate(given_rules)]

    answers = {decided(order, category) for order in permutations(numbered)}

    assert len(answers) == 1


@given(st.lists(rules, max_size=6), st.sampled_from(CATEGORIES))
def test_what_leaves_is_allowed_by_a_row_of_every_pack(
    given_rules: list[Rule], category: str
) -> None:
    decision = decided(given_rules, category)

    if decision.action is not Action.DROP:
        assert {r.pack for r in decision.rules} == {r.pack for r in given_rules}
        assert all(r.covers(category) for r in decision.rules)


@given(st.lists(rules, max_size=5), rules, st.sampled_from((*CATEGORIES, HEALTH)))
def test_a_row_more_never_loosens_where_its_pack_has_spoken(
    given_rules: list[Rule], more: Rule, category: str
) -> None:
    """Where its pack was silent it may: that is what a first row is for."""
    assume(any(r.pack == more.pack and r.covers(category) for r in given_rules))
    limits = Limits(special=(SPECIAL,))

    before = decided(given_rules, category, limits).action
    after = decided([*given_rules, more], category, limits).action

    assert STRICTNESS.index(after) <= STRICTNESS.index(before)


@given(st.lists(rules, max_size=6), st.sampled_from([HEALTH, HEALTH + ".genes"]))
def test_no_rows_open_a_special_category_however_they_reach_it(
    given_rules: list[Rule], category: str
) -> None:
    limits = Limits(special=(SPECIAL,))

    assert decided(given_rules, category, limits).action is Action.DROP


def test_drop_is_stricter_than_tokenise_than_generalise_than_label_than_keep() -> None:
    assert [a.value for a in STRICTNESS] == ["drop", "tokenise", "generalise", "label", "keep"]


def test_a_row_that_drops_is_cited_as_it_is_written() -> None:
    """No limit adds a reason to it: a special category, a country or a certificate it lacks."""
    drop = rule(HEALTH, Action.DROP, pack="p", requires="ISO")

    assert decided([drop], HEALTH, Limits(special=(SPECIAL,), sets=(ADEQUATE,))).rules == (drop,)


def test_a_category_no_rule_speaks_about_is_dropped() -> None:
    told = decided([rule("user.name", Action.KEEP, pack="p")], "user.contact.email")

    assert told == Decision(Action.DROP, silent=("p",))


def test_a_pack_that_is_silent_drops_what_another_keeps() -> None:
    """A German customer's data does not leave because Swiss law would let it."""
    swiss = rule("user.name", Action.KEEP, pack="ch", id="ch")
    german = rule("user.contact", Action.KEEP, pack="eu", id="eu")

    assert decided([swiss, german], "user.name") == Decision(Action.DROP, silent=("eu",))


def test_what_leaves_cites_the_rows_of_every_pack_and_a_drop_only_those_that_drop() -> None:
    eu = rule("user.name", Action.KEEP, pack="eu", id="eu")
    ch = rule("user.name", Action.TOKENISE, pack="ch", id="ch")
    uk = rule("user.name", Action.DROP, pack="uk", id="uk")

    assert [r.id for r in decided([eu, ch], "user.name").rules] == ["ch", "eu"]
    assert decided([eu, ch], "user.name").action is Action.TOKENISE
    assert [r.id for r in decided([eu, ch, uk], "user.name").rules] == ["uk"]


@pytest.mark.parametrize(
    ("spoken", "exact", "asked", "matches"),
    [
        ("user.contact", False, "user.contact.email", True),
        ("user.contact", False, "user.contact", True),
        ("user.contact", False, "user.contacts", False),  # a prefix of the word is no parent
        ("user.contact.email", False, "user.contact", False),
        ("user.contact", True, "user.contact", True),
        ("user.contact", True, "user.contact.email", False),  # exact: not what lies below
    ],
)
def test_a_rule_covers_its_category_and_what_lies_below(
    spoken: str, exact: bool, asked: str, matches: bool
) -> None:
    assert rule(spoken, Action.KEEP, exact=exact).covers(asked) is matches


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

    assert decide([dated], "user.name", ORG, on, FREE).action is action


def test_a_rule_for_another_destination_is_silent() -> None:
    other = rule("user.name", Action.KEEP, destination="elsewhere")

    assert decided([other], "user.name").action is Action.DROP


def test_two_ways_to_generalise_leave_no_common_answer() -> None:
    ways = [rule("user", Action.GENERALISE, how=how, id=how) for how in ("year", "ip-network")]

    decision = decided(ways, "user.name")

    assert (decision.action, decision.how) == (Action.DROP, None)
    assert [r.id for r in decision.rules] == ["ip-network", "year"]


def test_a_stricter_row_settles_what_two_ways_to_generalise_do_not() -> None:
    ways = [rule("user", Action.GENERALISE, how=how, id=how) for how in ("year", "ip-network")]

    assert decided([*ways, rule("user", Action.TOKENISE)], "user.name").action is Action.TOKENISE


def test_two_packs_that_generalise_alike_agree() -> None:
    ways = [rule("user", Action.GENERALISE, how="year", id=pack, pack=pack) for pack in ("p", "q")]

    assert (decided(ways, "user").action, decided(ways, "user").how) == ("generalise", "year")


def test_the_decision_names_every_rule_that_determined_it_and_no_other() -> None:
    drops = [rule("user.name", Action.DROP, id="b"), rule("user", Action.DROP, id="a")]

    decision = decided([*drops, rule("user.name", Action.KEEP)], "user.name")

    assert [r.id for r in decision.rules] == ["a", "b"]


OVERRIDE = Override(
    "ov-1",
    rule="opens",
    category=HEALTH,
    law="Art. 9(2)(a)",
    why="asked for",
    approved_by="DPO",
    valid_from=date(2026, 11, 1),
    valid_to=date(2026, 12, 31),
)


class TestOverride:
    """An override frees one row, for one category, for a time, and is cited."""

    opens = rule(HEALTH, Action.TOKENISE, id="opens", pack="p", basis="b")

    def on(self, asked: str = HEALTH, **changed: Any) -> Decision:
        limits = Limits(special=(SPECIAL,), overrides=(replace(OVERRIDE, **changed),))
        return decided([self.opens], asked, limits)

    @pytest.mark.parametrize("category", [HEALTH, HEALTH + ".genes"])
    def test_it_lets_its_row_stand_for_its_category_and_below(self, category: str) -> None:
        assert self.on(category).action is Action.TOKENISE

    def test_it_is_cited_and_ends_the_permission_with_itself(self) -> None:
        (stands,) = self.on().rules

        assert stands.source == "test; override ov-1: Art. 9(2)(a)"
        assert stands.valid_to == OVERRIDE.valid_to

    @pytest.mark.parametrize(
        "changed",
        [
            {"rule": "another"},
            {"category": "user.biometric"},
            {"category": HEALTH + ".genes"},  # it covers less than is asked for
            {"valid_from": date(2026, 11, 24)},
            {"valid_to": date(2026, 11, 22)},
        ],
        ids=str,
    )
    def test_it_frees_nothing_but_what_it_names_while_it_lasts(self, changed: Any) -> None:
        (closed,) = self.on(**changed).rules

        assert closed.action is Action.DROP
        assert closed.source == "test; dropped: special category by Art. 9, and no override"
        assert closed.basis is None

    def test_of_two_the_one_that_lasts_longest_counts(self) -> None:
        longer = replace(OVERRIDE, id="ov-0", valid_to=date(2027, 1, 31))
        limits = Limits(special=(SPECIAL,), overrides=(longer, OVERRIDE))

        (stands,) = decided([self.opens], HEALTH, limits).rules

        assert stands.valid_to == longer.valid_to

    def test_it_does_not_open_what_another_row_or_pack_drops(self) -> None:
        limits = Limits(special=(SPECIAL,), overrides=(OVERRIDE,))
        drop = rule("user", Action.DROP, pack="q")

        assert decided([self.opens, drop], HEALTH, limits).action is Action.DROP


def test_a_pack_that_no_special_entry_names_is_held_to_all_of_them() -> None:
    limits = Limits(special=(Special(HEALTH, {"p": "Art. 9"}), Special("user.name", {"q": "s. 1"})))

    assert limits.special_law("p", HEALTH) == "Art. 9"
    assert limits.special_law("p", "user.name") is None
    assert limits.special_law("new", "user.name") == "s. 1"
    assert limits.special_law("new", "user.contact") is None


ADEQUATE = TransferSet(
    "set",
    SetKind.ADEQUATE,
    ("p",),
    "law",
    ON,
    "adequacy",
    ("CH",),
    (
        Member("GB", "law", valid_to=date(2031, 12, 27)),
        Member("BR", "law", valid_from=date(2026, 12, 1)),
        Member("US", "law", requires="DPF"),
        Member("JP", "law", valid_to=date(2026, 11, 22)),
    ),
)
CERTIFIED = Certification("DPF", date(2026, 1, 1), date(2027, 1, 1))
ENDED = Certification("DPF", date(2025, 1, 1), date(2025, 12, 31))
OTHER = Certification("ISO", date(2026, 1, 1), date(2027, 1, 1))


@pytest.mark.parametrize(
    ("country", "held", "action", "until"),
    [
        ("CH", (), Action.KEEP, None),
        ("GB", (), Action.KEEP, date(2031, 12, 27)),  # the set's end is the row's
        ("US", (CERTIFIED,), Action.KEEP, date(2027, 1, 1)),  # and so is the certificate's
        ("US", (), Action.DROP, None),  # the set asks for a certificate
        ("US", (ENDED,), Action.DROP, None),
        ("US", (OTHER,), Action.DROP, None),
        ("BR", (), Action.DROP, None),  # not yet
        ("JP", (), Action.DROP, None),  # no longer
        ("AU", (), Action.DROP, None),  # not named
    ],
)
def test_an_adequacy_row_stands_only_where_a_set_backs_it(
    country: str, held: tuple[Certification, ...], action: Action, until: date | None
) -> None:
    rests = rule("user", Action.KEEP, pack="p", basis="adequacy")
    to = Destination("org", country, "x", held)

    (told,) = decided([rests], "user", Limits(sets=(ADEQUATE,)), to).rules

    assert (told.action, told.valid_to) == (action, until)


@pytest.mark.parametrize(
    ("pack", "basis", "country", "backed"),
    [
        ("p", "clauses", "AU", True),  # no set speaks of this basis: clauses need no list
        ("q", "adequacy", "CH", False),  # another law's set is no help
        ("home", "adequacy", "AU", True),  # in the law's own territory nothing is transferred
        ("free", "adequacy", "AU", True),  # the law restricts nothing on this basis
        ("free", "clauses", "RU", False),  # barred, whatever the basis
        ("free", "adequacy", "RU", False),
    ],
)
def test_a_set_speaks_for_its_own_packs_and_a_bar_beats_every_basis(
    pack: str, basis: str, country: str, backed: bool
) -> None:
    sets = (
        ADEQUATE,
        TransferSet("home", SetKind.INTERNAL, ("home",), "law", ON, None, ("AU",)),
        TransferSet("free", SetKind.UNRESTRICTED, ("free",), "law", ON, "adequacy"),
        TransferSet("bar", SetKind.BARRED, ("free",), "law", ON, None, ("RU",)),
    )

    told = Limits(sets=sets).backing(pack, basis, Destination("org", country, "x"), ON)

    assert (told.lack is None) is backed


@pytest.mark.parametrize(
    ("on", "backed"),
    [
        (date(2025, 12, 31), False),
        (date(2026, 1, 1), True),
        (date(2026, 12, 31), True),
        (date(2027, 1, 1), False),
    ],
)
def test_a_set_its_members_and_overrides_hold_from_their_first_to_their_last_day(
    on: date, backed: bool
) -> None:
    span = {"valid_from": date(2026, 1, 1), "valid_to": date(2026, 12, 31)}
    whole = replace(ADEQUATE, **span)
    part = replace(ADEQUATE, countries=(), member=(Member("CH", "law", None, *span.values()),))
    override = replace(OVERRIDE, **span)
    to = Destination("org", "CH", "x")

    for one in (whole, part):
        assert (Limits(sets=(one,)).backing("p", "adequacy", to, on).lack is None) is backed
    assert (Limits(overrides=(override,)).override("opens", HEALTH, on) is not None) is backed


def test_a_permission_ends_the_day_before_its_country_is_barred() -> None:
    bar = TransferSet(
        "bar", SetKind.BARRED, ("p",), "law", ON, None, ("CH",), valid_from=date(2027, 1, 1)
    )
    swiss, british = (Destination("org", country, "x") for country in ("CH", "GB"))
    limits = Limits(sets=(ADEQUATE, bar))

    assert limits.backing("p", "adequacy", swiss, ON).until == date(2026, 12, 31)
    assert limits.backing("p", "clauses", swiss, ON).until == date(2026, 12, 31)
    assert limits.backing("p", "adequacy", british, ON).until == date(2031, 12, 27)
    assert limits.backing("p", "clauses", swiss, date(2027, 1, 1)).lack is not None
    assert limits.backing("q", "clauses", swiss, ON).until is None


@pytest.mark.parametrize(
    ("pack", "country", "told"),
    [
        ("p", "AU", "adequacy to AU is not backed by set"),
        ("q", "CH", "adequacy to CH is not backed by any transfer set: this pack has none"),
        (
            "p",
            "US",
            "adequacy to US is not backed: set asks for a certificate in 'DPF', org has none",
        ),
    ],
)
def test_what_is_lacking_is_said(pack: str, country: str, told: str) -> None:
    to = Destination("org", country, "x")

    assert Limits(sets=(ADEQUATE,)).backing(pack, "adequacy", to, ON).lack == told


def test_a_basis_that_rests_on_a_list_is_not_backed_by_having_no_list() -> None:
    to = Destination("org", "US", "x", (CERTIFIED,))
    limits = Limits(listed=frozenset({"adequacy"}))

    assert limits.backing("p", "adequacy", to, ON).lack is not None
    assert limits.backing("p", "clauses", to, ON).lack is None


@pytest.mark.parametrize("on", [date(2025, 12, 31), date(2027, 1, 2)])
def test_a_whole_set_counts_only_within_its_dates(on: date) -> None:
    dated = replace(ADEQUATE, valid_from=date(2026, 1, 1), valid_to=date(2027, 1, 1))
    to = Destination("org", "CH", "x")

    assert Limits(sets=(dated,)).backing("p", "adequacy", to, on).lack is not None
    assert Limits(sets=(dated,)).backing("p", "adequacy", to, ON).until == date(2027, 1, 1)


@pytest.mark.parametrize(("held", "action"), [((OTHER,), Action.KEEP), ((CERTIFIED,), Action.DROP)])
def test_a_row_may_ask_for_a_certificate_of_its_own(
    held: tuple[Certification, ...], action: Action
) -> None:
    asks = rule("user", Action.KEEP, requires="ISO")
    to = Destination("org", "US", "x", held)

    (told,) = decided([asks], "user", to=to).rules

    assert told.action is action
    assert told.valid_to == (OTHER.valid_to if action is Action.KEEP else None)


def test_why_a_row_was_closed_names_no_day() -> None:
    """The plan cites it, and its digest must not change overnight."""
    rests = rule("user", Action.KEEP, pack="p", basis="adequacy", requires="ISO")
    days = (date(2026, 11, 23), date(2026, 11, 24))

    for to in (Destination("org", "AU", "x"), Destination("org", "US", "x"), ORG):
        assert len({decide([rests], "user", to, on, Limits(sets=(ADEQUATE,))) for on in days}) == 1


def test_within_means_the_same_word_or_below() -> None:
    assert within("user.name", "user")
    assert within("user", "user")
    assert not within("username", "user")
