"""Date words name ranges of days, as the SOQL reference lists them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.soql.dates import DATE_WORDS, days_of, takes_number
from tests.support.soql_org import soql_org

TODAY = date(2024, 2, 29)  # a Thursday


@pytest.mark.parametrize(
    ("word", "number", "first", "after"),
    [
        ("YESTERDAY", None, "2024-02-28", "2024-02-29"),
        ("TODAY", None, "2024-02-29", "2024-03-01"),
        ("TOMORROW", None, "2024-03-01", "2024-03-02"),
        ("LAST_WEEK", None, "2024-02-19", "2024-02-26"),
        ("THIS_WEEK", None, "2024-02-26", "2024-03-04"),
        ("NEXT_WEEK", None, "2024-03-04", "2024-03-11"),
        ("LAST_MONTH", None, "2024-01-01", "2024-02-01"),
        ("THIS_MONTH", None, "2024-02-01", "2024-03-01"),
        ("NEXT_MONTH", None, "2024-03-01", "2024-04-01"),
        ("LAST_90_DAYS", None, "2023-12-01", "2024-03-01"),  # today is one more day of it
        ("NEXT_90_DAYS", None, "2024-03-01", "2024-05-30"),  # and none of this
        ("LAST_N_DAYS", 1, "2024-02-28", "2024-03-01"),
        ("NEXT_N_DAYS", 1, "2024-03-01", "2024-03-02"),
        ("N_DAYS_AGO", 2, "2024-02-27", "2024-02-28"),
        ("LAST_N_WEEKS", 2, "2024-02-12", "2024-02-26"),
        ("NEXT_N_WEEKS", 2, "2024-03-04", "2024-03-18"),
        ("N_WEEKS_AGO", 2, "2024-02-12", "2024-02-19"),
        ("LAST_N_MONTHS", 2, "2023-12-01", "2024-02-01"),
        ("NEXT_N_MONTHS", 2, "2024-03-01", "2024-05-01"),
        ("N_MONTHS_AGO", 2, "2023-12-01", "2024-01-01"),
        ("THIS_QUARTER", None, "2024-01-01", "2024-04-01"),
        ("LAST_QUARTER", None, "2023-10-01", "2024-01-01"),
        ("NEXT_QUARTER", None, "2024-04-01", "2024-07-01"),
        ("LAST_N_QUARTERS", 2, "2023-07-01", "2024-01-01"),
        ("NEXT_N_QUARTERS", 2, "2024-04-01", "2024-10-01"),
        ("N_QUARTERS_AGO", 2, "2023-07-01", "2023-10-01"),
        ("THIS_YEAR", None, "2024-01-01", "2025-01-01"),
        ("LAST_YEAR", None, "2023-01-01", "2024-01-01"),
        ("NEXT_YEAR", None, "2025-01-01", "2026-01-01"),
        ("LAST_N_YEARS", 2, "2022-01-01", "2024-01-01"),
        ("NEXT_N_YEARS", 2, "2025-01-01", "2027-01-01"),
        ("N_YEARS_AGO", 2, "2022-01-01", "2023-01-01"),
        ("THIS_FISCAL_QUARTER", None, "2024-01-01", "2024-04-01"),
        ("LAST_FISCAL_YEAR", None, "2023-01-01", "2024-01-01"),
        ("NEXT_N_FISCAL_QUARTERS", 1, "2024-04-01", "2024-07-01"),
        ("N_FISCAL_YEARS_AGO", 1, "2023-01-01", "2024-01-01"),
    ],
)
def test_each_word_names_its_days(word: str, number: int | None, first: str, after: str) -> None:
    days = days_of(word, number, TODAY)

    assert days == (date.fromisoformat(first), date.fromisoformat(after))


def test_every_word_is_known_and_no_other() -> None:
    assert len(DATE_WORDS) == 3 + 2 + 3 * 6 + 3 * 7  # days, ninety, LAST THIS NEXT, with a number
    assert "THIS_DAY" not in DATE_WORDS
    assert "LAST_FISCAL_MONTH" not in DATE_WORDS


@given(
    st.dates(date(1900, 1, 1), date(2300, 1, 1)),
    st.sampled_from(["WEEK", "MONTH", "QUARTER", "YEAR"]),
    st.integers(1, 40),
)
def test_neighbouring_ranges_meet_and_today_lies_in_this_one(
    today: date, unit: str, count: int
) -> None:
    last, this, following = (days_of(f"{w}_{unit}", None, today) for w in ("LAST", "THIS", "NEXT"))

    assert last[1] == this[0] <= today < this[1] == following[0]
    assert days_of(f"LAST_N_{unit}S", count, today)[1] == this[0]
    assert days_of(f"NEXT_N_{unit}S", count, today)[0] == this[1]
    assert days_of(f"LAST_N_{unit}S", count, today)[0] == days_of(f"N_{unit}S_AGO", count, today)[0]


@given(st.sampled_from(sorted(w for w in DATE_WORDS if takes_number(w))), st.integers(0, 10**9 - 1))
def test_any_number_gives_days_or_is_beyond_the_calendar(word: str, number: int) -> None:
    try:
        first, after = days_of(word, number, TODAY)
    except OverflowError:
        return

    assert first <= after


def test_words_compare_with_the_first_or_the_last_of_their_days(tmp_path: Path) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with soql_org(tmp_path) as org:
        for number, offset in enumerate((-2, -1, 0, 1), 1):
            moment = today + timedelta(offset)
            org.put(
                "Vault__c",
                {
                    "Id": number,
                    "Name": f"d{offset}",
                    "Day__c": moment.date().isoformat(),
                    "Sealed_At__c": int(moment.timestamp()),
                },
            )
        org.put("Vault__c", {"Id": 9, "Name": "none"})
        expected = {
            "= YESTERDAY": ["d-1"],
            "!= YESTERDAY": ["d-2", "d0", "d1", "none"],
            "< YESTERDAY": ["d-2"],
            "<= YESTERDAY": ["d-2", "d-1"],
            "> YESTERDAY": ["d0", "d1"],
            ">= YESTERDAY": ["d-1", "d0", "d1"],
            "= LAST_N_DAYS:1": ["d-1", "d0"],
        }

        for field in ("Day__c", "Sealed_At__c"):
            for condition, names in expected.items():
                soql = f"SELECT Name FROM Vault__c WHERE {field} {condition} ORDER BY Id"  # noqa: S608
                negated = f"SELECT Name FROM Vault__c WHERE NOT {field} {condition} ORDER BY Id"  # noqa: S608
                every = org.column("SELECT Name FROM Vault__c ORDER BY Id")
                assert org.column(soql) == names
                assert org.column(negated) == [n for n in every if n not in names]
        assert org.refusal("SELECT Id FROM Vault__c WHERE Name = TODAY").code == "INVALID_FIELD"
