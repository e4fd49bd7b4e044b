"""A contract's faults are all named at once, each where it stands in its file."""

from datetime import date
from pathlib import Path

import pytest

from residency.contracts.check import contract_problems, unmet_problems
from residency.contracts.model import Contract
from residency.contracts.read import BadContractError, load_contract
from residency.plan.book import compile_each
from residency.plan.model import Plan
from residency.regions import load_regions
from schemas.registry import load_registry

REGISTRY = load_registry()
PLACED, CHANGED = "commerce.orders.OrderPlaced", "commerce.orders.OrderChanged"
HEAD = f"""# a comment, so that lines are not counted from the top

[[output]]
events = [
  "{PLACED}",
  "{CHANGED}",
]
object = "Commerce_Order__c"
external_id = {{ path = "order_id", identity = "order" }}

[output.fields]
"""
FIRST = HEAD.count("\n") + 1  # line of the first field


def written(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def read_problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(BadContractError) as caught:
        load_contract(folder)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('A__c = { path = "a..b" }', "A__c: 'a..b' is not a path; it reads like"),
        ('A__c = { path = "a", count = "b" }', "A__c: give exactly one of path, count, sum"),
        ("A__c = {}", "A__c: give exactly one of"),
        ('A__c = { sum = "a[].b", identity = "x" }', "A__c: identity, country and at go with path"),
        ('A__c = { path = "a", parent = "X" }', "A__c: parent goes with identity"),
        ('A__c = { paht = "a" }', "A__c: paht: Unexpected keyword argument"),
        ('A__c = { path = "a", otherwise = "no" }', "A__c: otherwise: Input should be"),
        ('A__c = { path = "a", country = "b." }', "A__c: 'b.' is not a path"),
    ],
)
def test_a_field_that_cannot_be_read_is_named_by_file_and_line(
    line: str, told: str, tmp_path: Path
) -> None:
    text = f"{HEAD}# more\nGood__c = {{ clear = true }}\n{line}\n"

    (problem,) = read_problems(written(tmp_path, c=text))

    assert problem.startswith(f"c.toml:{FIRST + 2}: {told}")


def test_the_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        a=f"{HEAD}A__c = {{}}\nB__c = {{}}\n",
        b="[[output]]\nevents = []\n",
        c="\n[[output",
        d='[[nothing]]\nevent = "e"\nwhy = "x"\n',
    )

    problems = read_problems(folder)

    assert [problem.split(": ")[0] for problem in problems] == [
        f"a.toml:{FIRST}",
        f"a.toml:{FIRST + 1}",
        "b.toml:1",
        "b.toml:1",
        "c.toml:2",
        "d.toml:1",
        "d.toml:3",
    ]
    assert "c.toml:2: not TOML: " in problems[4]


BLOCK = """[[output]]
events = ["{event}"]
object = "Commerce_Order__c"
external_id = {{ path = "{path}", identity = "order" }}
{more}
"""


def block(more: str = "", event: str = PLACED, path: str = "order_id") -> str:
    return BLOCK.format(more=more, event=event, path=path)


FIELD = "fields = { Status__c = { clear = true } }"


@pytest.mark.parametrize(
    ("first", "second", "line", "told"),
    [
        (
            block(FIELD),
            block(FIELD),
            5,
            f"{PLACED}: Status__c mapped twice on Commerce_Order__c; the first is at a.toml:5",
        ),
        (
            block(),
            block(path="totals.x"),
            4,
            f"{PLACED}: two external ids for one Commerce_Order__c; the first is at a.toml:1",
        ),
        (
            block(),
            block("deletes = true"),
            1,
            "a block that deletes Commerce_Order__c stands alone",
        ),
        (
            block("deletes = true"),
            block(),
            1,
            "a block that deletes Commerce_Order__c stands alone",
        ),
        (
            '[[nothing]]\nevent = "e"\nbecause = "x"',
            '[[nothing]]\nevent = "e"\nbecause = "y"',
            2,
            "e: under [[nothing]] twice",
        ),
    ],
)
def test_two_blocks_that_cannot_both_hold_are_named_at_the_later_one(
    first: str, second: str, line: int, told: str, tmp_path: Path
) -> None:
    (problem,) = read_problems(written(tmp_path, a=first, b=second))

    assert problem.startswith(f"b.toml:{line}: ")
    assert told in problem


def test_an_event_with_and_without_output_is_named_where_it_stands_first(tmp_path: Path) -> None:
    nothing = f'[[nothing]]\nevent = "{PLACED}"\nbecause = "x"\n'

    (problem,) = read_problems(written(tmp_path, a=block(), b=nothing))

    assert problem == f"a.toml:2: {PLACED}: listed under [[output]] and [[nothing]]; choose one"


def test_a_block_may_have_no_fields_and_may_delete(tmp_path: Path) -> None:
    contract = load_contract(written(tmp_path, a=block("deletes = true")))

    (output,) = contract.outputs[PLACED]
    assert (output.deletes, dict(output.fields), output.place("")) == (True, {}, "a.toml:1")


def lint_problems(folder: Path) -> list[str]:
    """Return the problems but those of erasures, which have tests of their own below."""
    found = contract_problems(load_contract(folder), REGISTRY)
    return [problem for problem in found if "[[erasure]]" not in problem]


def test_the_shipped_contracts_have_no_problem() -> None:
    assert contract_problems(load_contract(), REGISTRY) == []


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ('path = "customer.nick"', "customer.nick"),
        ('path = "items[0].skoo"', "items[0].skoo"),
        ('path = "attributes.gift"', "attributes.gift"),
        ('count = "item"', "item"),
        ('count = "order_id"', "order_id"),
        ('sum = "items[].skoo"', "items[].skoo"),
    ],
)
def test_a_mapping_that_matches_no_version_is_named_even_if_it_may_be_left_out(
    source: str, path: str, tmp_path: Path
) -> None:
    text = f'{HEAD}Total__c = {{ {source}, otherwise = "omit" }}\n'

    problems = lint_problems(written(tmp_path, c=text))

    assert problems == [
        f"c.toml:{FIRST}: {event}: Total__c: {path!r} is in no version of the schema;"
        " mend the path, or remove the mapping"
        for event in (PLACED, CHANGED)
    ]


@pytest.mark.parametrize("otherwise", ["refuse", "omit"])
@pytest.mark.parametrize("beside", ["country", "at"])
def test_a_path_beside_the_value_must_match_too(
    beside: str, otherwise: str, tmp_path: Path
) -> None:
    source = f'{{ path = "customer.email", {beside} = "nowhere", otherwise = "{otherwise}" }}'

    problems = lint_problems(written(tmp_path, c=f"{HEAD}Total__c = {source}\n"))

    assert ["'nowhere'" in problem for problem in problems] == [True, True]


def plans_of(contract: Contract) -> list[Plan]:
    """Return the plans of all regions."""
    on = date(2026, 11, 23)
    return [p for name in load_regions() for p in compile_each(name, on, REGISTRY, contract)[0]]


def test_a_path_beside_the_value_that_no_generaliser_reads_is_named(tmp_path: Path) -> None:
    """A region may keep what another one generalises, so all its regions are asked."""
    area, beside = "Ship_Postcode_Area__c", 'country = "shipping_address.country"'
    text = (
        f'{HEAD}{area} = {{ path = "shipping_address.postal_code", {beside} }}\n'
        f'Total__c = {{ path = "totals.grand_total", {beside} }}\n'
        'Channel__c = { path = "channel", at = "occurred_at" }\n'
    )
    contract = load_contract(written(tmp_path, c=text))
    found = unmet_problems(contract, plans_of(contract))

    country = "nothing reads country = 'shipping_address.country'; remove it"
    assert found[:2] == [
        f"c.toml:{FIRST + 1}: {PLACED}: Total__c: {country}",
        f"c.toml:{FIRST + 2}: {PLACED}: Channel__c: nothing reads at = 'occurred_at'; remove it",
    ]
    assert not any(area in problem for problem in found)


def test_a_mapping_that_every_region_omits_is_named(tmp_path: Path) -> None:
    """What no policy gives anywhere is a mapping that matches nothing; what one gives is none."""
    area = 'First_Sku__c = { path = "items[0].sku", otherwise = "omit" }\n'
    text = f'{HEAD}Channel__c = {{ path = "payment.iban", otherwise = "omit" }}\n{area}'
    contract = load_contract(written(tmp_path, c=text))
    plans = plans_of(contract)

    found = unmet_problems(contract, plans, {CHANGED})

    step = "every region omits it; remove it, or have the policy give it somewhere"
    assert found == [f"c.toml:{FIRST}: {PLACED}: Channel__c: {step}"]
    assert unmet_problems(contract, plans, {PLACED, CHANGED}) == []


def test_a_path_of_an_older_version_alone_may_be_left_out_of_the_newer(tmp_path: Path) -> None:
    old, new = REGISTRY.versions(PLACED)
    newer = {leaf.path for leaf in new.leaves} - {leaf.path for leaf in old.leaves}
    path = min(newer).replace("[]", "[0]").replace("{}", "{gift}")
    text = block(f'fields = {{ Total__c = {{ path = "{path}", otherwise = "omit" }} }}')

    assert lint_problems(written(tmp_path, c=text)) == []


def test_an_event_without_a_schema_is_named_where_it_is_listed(tmp_path: Path) -> None:
    text = HEAD.replace(CHANGED, "commerce.orders.OrderLost")
    nothing = '[[nothing]]\n# why\nevent = "commerce.orders.OrderFound"\nbecause = "x"\n'

    problems = lint_problems(written(tmp_path, c=text, n=nothing))

    told = "no schema describes this event; mend its name, or add its schema"
    assert problems == [
        f"c.toml:6: commerce.orders.OrderLost: {told}",
        f"n.toml:3: commerce.orders.OrderFound: {told}",
    ]


def test_the_rows_of_one_object_are_named_by_one_identity(tmp_path: Path) -> None:
    other = block(event=CHANGED).replace('"order" }', '"ord" }')

    (problem,) = lint_problems(written(tmp_path, a=block(), b=other))

    assert problem.startswith("b.toml:4: rows of Commerce_Order__c are named by identity 'ord'")
    assert "by 'order' at a.toml:4" in problem


@pytest.mark.parametrize(
    ("parent", "identity", "told"),
    [
        ("Commerce_Order__c", "order", None),
        ("Commerce_Order__c", "ord", "names rows of Commerce_Order__c by identity 'ord', and"),
        ("Commerce_Customer__c", "customer", "Commerce_Customer__c has no rows: no [[output]]"),
    ],
)
def test_a_parent_is_an_object_whose_rows_have_that_identity(
    parent: str, identity: str, told: str | None, tmp_path: Path
) -> None:
    source = f'{{ path = "order_id", identity = "{identity}", parent = "{parent}" }}'

    problems = lint_problems(written(tmp_path, c=block(f"fields = {{ Key__c = {source} }}")))

    assert len(problems) == (told is not None)
    assert all(p.startswith(f"c.toml:5: {PLACED}: Key__c: ") for p in problems)
    assert all(told in problem for problem in problems if told)


CUSTOMERS = """
[[output]]
events = ["commerce.customers.CustomerRegistered"]
object = "Commerce_Customer__c"
external_id = { path = "customer.customer_id", identity = "customer" }
"""
LABELLED = """
[[output]]
events = ["commerce.messages.SupportMessageReceived"]
object = "Commerce_Case__c"
external_id = { path = "message_id", identity = "message" }

[[labels]]
events = ["commerce.messages.SupportMessageReceived"]
object = "Commerce_Case__c"
external_id = { path = "message_id", identity = "message" }
subject = { path = "customer.customer_id", identity = "customer" }
fields = { Intent__c = { path = "body", task = "intent" } }
"""
ANONYMISE = '[[erasure]]\nobject = "Commerce_Customer__c"\naction = "anonymise"\n'


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (CUSTOMERS, 2, "nothing says what becomes of its rows when their person is erased"),
        (f'{CUSTOMERS}{ANONYMISE}keep = ["Name__c"]', 9, "Name__c: the minimal schema has no"),
        (f'{CUSTOMERS}{ANONYMISE}keep = ["cleared"]', 9, "cleared: the minimal schema has no"),
        (
            f"{CUSTOMERS}{ANONYMISE}fields = {{ Status__c = {{ clear = true }} }}",
            9,
            "Status__c: an erasure sets constants alone",
        ),
        (
            CUSTOMERS
            + ANONYMISE
            + 'keep = ["Status__c"]\nfields = { Status__c = { constant = "x" } }',
            9,
            "Status__c: kept and set; choose one",
        ),
        (
            CUSTOMERS + ANONYMISE.replace("anonymise", "delete") + 'keep = ["Country__c"]',
            6,
            "a row that is deleted keeps no field",
        ),
        (CUSTOMERS + ANONYMISE + ANONYMISE.replace("Customer", "Gone"), 9, "no [[output]] writes"),
        (
            LABELLED + ANONYMISE.replace("Customer", "Case"),
            13,
            "labels cannot be emptied, so its rows must go",
        ),
    ],
)
def test_what_an_erasure_would_leave_undone_is_named(
    text: str, line: int, told: str, tmp_path: Path
) -> None:
    folder = written(tmp_path, c=text)

    problems = contract_problems(load_contract(folder), REGISTRY)

    assert any(p.startswith(f"c.toml:{line}: ") and told in p for p in problems), problems


def test_an_erasure_is_said_once(tmp_path: Path) -> None:
    (problem,) = read_problems(written(tmp_path, c=ANONYMISE + ANONYMISE))

    assert problem.startswith("c.toml:4: Commerce_Customer__c: under [[erasure]] twice")
    assert "the first is at c.toml:1" in problem


def test_the_shipped_contracts_say_what_becomes_of_every_row() -> None:
    contract = load_contract()

    assert contract_problems(contract, REGISTRY) == []
    assert contract.erasures.keys() == {
        o.object for each in contract.outputs.values() for o in each
    }


DELETES = """[[output]]
events = ["commerce.orders.OrderPlaced"]
object = "Commerce_Order__c"
external_id = { path = "order_id", identity = "order" }
"""
ERASED = '[[erasure]]\nobject = "Commerce_Order__c"\naction = "delete"\n'
HARD = "hard = true\n"


@pytest.mark.parametrize("is_hard", [True, False])
def test_a_contract_says_whether_rows_are_deleted_for_good(is_hard: bool, tmp_path: Path) -> None:
    hard = HARD if is_hard else ""
    text = f"{DELETES}deletes = true\n{hard}{ERASED}{hard}"

    contract = load_contract(written(tmp_path, c=text))

    (output,) = contract.outputs[PLACED]
    erasure = contract.erasures["Commerce_Order__c"]
    assert (output.hard, erasure.hard) == (is_hard, is_hard)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{DELETES}{HARD}", "Commerce_Order__c: hard goes with deletes = true"),
        (f"{ANONYMISE}{HARD}", 'Commerce_Customer__c: hard goes with action = "delete"'),
        (
            f"{DELETES}deletes = true\n{ERASED}{HARD}",
            f"{PLACED} and Commerce_Order__c's [[erasure]] (c.toml:6) delete its rows in two ways",
        ),
        (
            f"{DELETES}deletes = true\n{HARD}{ERASED}",
            f"{PLACED} and Commerce_Order__c's [[erasure]] (c.toml:7) delete its rows in two ways",
        ),
    ],
)
def test_what_is_deleted_in_no_way_or_in_two_is_named(text: str, told: str, tmp_path: Path) -> None:
    (problem,) = read_problems(written(tmp_path, c=text))

    assert problem.startswith(f"c.toml:1: {told}")


def test_an_event_may_delete_for_good_what_an_erasure_only_empties(tmp_path: Path) -> None:
    anonymise = ANONYMISE.replace("Customer", "Order")

    contract = load_contract(written(tmp_path, c=f"{DELETES}deletes = true\n{HARD}{anonymise}"))

    assert contract.outputs[PLACED][0].hard
    assert not contract.erasures["Commerce_Order__c"].hard
