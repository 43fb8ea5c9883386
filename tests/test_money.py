"""Money: rounding, percentages, and exact sums in the database."""

from decimal import Decimal

import pytest

from credits.book.money import MoneySum, percent, rounded
from credits.models import Credit, Dictionary, Payment
from reports.templatetags.figures import change

from . import builders


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", "0.00"),
        ("1.004", "1.00"),
        ("1.005", "1.01"),
        ("1.015", "1.02"),
        ("1.0049999999", "1.00"),
        ("-1.004", "-1.00"),
        ("-0.004", "0.00"),
        ("-0.00", "0.00"),
        ("-1.005", "-1.01"),
        ("999999999999.985", "999999999999.99"),
    ],
)
def test_rounding_is_half_up_away_from_zero(value, expected):
    assert str(rounded(Decimal(value))) == expected


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        ("324000", "272000", "119.12"),
        ("100.04", "800", "12.51"),  # 12.505
        ("-100.04", "800", "-12.51"),
        ("1", "3", "33.33"),
        ("2", "3", "66.67"),
        ("0", "5", "0.00"),
        ("999999999999.99", "0.01", "9999999999999900.00"),
    ],
)
def test_a_percent_has_two_places(part, whole, expected):
    assert str(percent(Decimal(part), Decimal(whole))) == expected


@pytest.mark.parametrize("part", ["0", "5"])
def test_a_percent_of_nothing_is_none(part):
    assert percent(Decimal(part), Decimal("0.00")) is None


def total_issued():
    return Credit.objects.aggregate(total=MoneySum("body"))["total"]


def issue(*bodies):
    borrower = builders.borrower()
    day = builders.date(2021, 6, 1)
    Credit.objects.bulk_create(
        Credit(borrower=borrower, issuance_date=day, return_date=day, body=Decimal(body), percent=0)
        for body in bodies
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        (["0.10"] * 1000, "100.00"),  # 99.9999999999986 in floats
        (["0.01"] * 7 + ["0.07"], "0.14"),
        (["1.10", "2.20", "3.30"], "6.60"),
        (["999999999999.99"], "999999999999.99"),
        (["999999999999.99"] * 9 + ["0.01"] * 1000, "9000000000009.91"),
        (["999999999999.99"] * 11 + ["999999999988.80"], "11999999999988.69"),  # 11999999999988.70 in floats
        (["999999999999.99"] * 1000, "999999999999990.00"),
    ],
)
def test_a_sum_is_exact_to_the_kopeck(bodies, expected):
    issue(*bodies)
    assert str(total_issued()) == expected


@pytest.mark.django_db
def test_a_sum_of_no_rows_is_zero():
    assert str(total_issued()) == "0.00"


@pytest.mark.django_db
def test_a_sum_counts_only_the_rows_of_its_filter():
    credit = builders.credit()
    builders.payment(credit, "2021-06-02", "0.10")
    builders.payment(credit, "2021-06-03", "0.20")
    builders.payment(credit, "2021-06-04", "0.70", Dictionary.INTEREST)
    (found,) = Credit.objects.with_payments()
    assert (str(found.body_payments), str(found.percent_payments)) == ("0.30", "0.70")


@pytest.mark.django_db
def test_the_database_can_compare_and_sort_by_a_sum():
    small, large = builders.credit(), builders.credit()
    for amount in ("0.10", "0.20"):
        builders.payment(large, "2021-06-02", amount)
    builders.payment(small, "2021-06-02", "0.29")
    sums = Payment.objects.values_list("credit").annotate(paid=MoneySum("sum"))
    assert list(sums.order_by("-paid")) == [(large.pk, Decimal("0.30")), (small.pk, Decimal("0.29"))]
    assert list(sums.filter(paid__gte=Decimal("0.30"))) == [(large.pk, Decimal("0.30"))]
    assert list(sums.order_by("paid").filter(paid__lt=Decimal(10**15))) == [
        (small.pk, Decimal("0.29")),
        (large.pk, Decimal("0.30")),
    ]


@pytest.mark.parametrize(
    ("share", "expected"),
    [("0.00", "0.00\u202f%"), ("0.01", "+0.01\u202f%"), ("-0.01", "−0.01\u202f%"), (None, "–")],
)
def test_a_change_of_zero_is_shown_without_a_sign(share, expected):
    assert change(share and Decimal(share)) == expected
