"""Periods that people type in addresses."""

from datetime import date

import pytest

from reports.periods import Period

TODAY = date(2022, 5, 17)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2021-06", "2021-06-01", "2021-06-30"),
        ("2020-02", "2020-02-01", "2020-02-29"),
        ("2021-q1", "2021-01-01", "2021-03-31"),
        ("2021-q4", "2021-10-01", "2021-12-31"),
        ("2021", "2021-01-01", "2021-12-31"),
        ("9999", "9999-01-01", "9999-12-31"),
        ("0001-01", "0001-01-01", "0001-01-31"),
        ("today", "2022-05-17", "2022-05-17"),
        ("today-17", "2022-04-30", "2022-04-30"),
        ("month-1", "2022-04-01", "2022-04-30"),
        ("month-5", "2021-12-01", "2021-12-31"),
        ("quarter-1", "2022-01-01", "2022-03-31"),
        ("year-1", "2021-01-01", "2021-12-31"),
        # Periods that are not over end today.
        ("month", "2022-05-01", "2022-05-17"),
        ("quarter", "2022-04-01", "2022-05-17"),
        ("year", "2022-01-01", "2022-05-17"),
        ("2022-05", "2022-05-01", "2022-05-17"),
        ("2022-q2", "2022-04-01", "2022-05-17"),
        ("2022", "2022-01-01", "2022-05-17"),
        ("2022-06", "2022-06-01", "2022-06-30"),
    ],
)
def test_a_text_names_a_period(text, first, last):
    assert Period.of(text, TODAY) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2021-06-15",
        "2021-13",
        "2021-00",
        "2021-q5",
        "0000",
        "21",
        "month+1",
        "month-",
        "months",
        "Today",
        "year-2022",
        "year-9999",
        "today-99999",
        "٢٠٢١",
        " 2021",
    ],
)
def test_other_texts_name_none(text):
    assert Period.of(text, TODAY) is None


def test_the_last_day_of_a_period_is_no_longer_cut():
    assert Period.of("month", date(2022, 5, 31)) == (date(2022, 5, 1), date(2022, 5, 31))
