"""Builders of rows, with defaults for everything that a test doesn't care about."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group, User

from credits.models import Borrower, Credit, Dictionary, Payment, Rate
from plans.models import Plan
from reports.models import DataStamp

NUMBERS = count(1)

# The rates that the migrations create.
RATES = {
    "current": 0,
    "1 to 30": 0,
    "31 to 60": 0,
    "61 to 90": 35,
    "91 to 180": 60,
    "181 to 360": 80,
    "over 360": 100,
}

NAMES = {1: "тіло", 2: "відсотки", 3: "видача", 4: "збір"}


def migrated() -> None:
    """Restores the rows that migrations create, which tests that commit may delete."""
    DataStamp.objects.get_or_create(defaults={"value": "first"})
    for pk, name in NAMES.items():
        Dictionary.objects.update_or_create(pk=pk, defaults={"name": name})
    for name in Rate.NAMES:
        Rate.objects.update_or_create(name=name, defaults={"percent": RATES.get(name)})


def account(role: str = "", **fields: Any) -> User:
    user = User.objects.create_user(f"{role.lower() or 'stranger'}{next(NUMBERS)}", **fields)
    if role:
        user.groups.add(Group.objects.get(name=role))
    return user


def borrower(**fields: Any) -> Borrower:
    defaults = {"login": f"borrower{next(NUMBERS)}", "registration_date": date(2020, 1, 1)}
    return Borrower.objects.create(**defaults | fields)


def credit(issued: str = "2021-06-01", body: Any = 1000, **fields: Any) -> Credit:
    """Creates an open credit, due 14 days after its issuance."""
    day = date.fromisoformat(issued)
    defaults = {
        "issuance_date": day,
        "return_date": day + timedelta(days=14),
        "body": Decimal(body),
        "percent": Decimal(0),
    }
    if "borrower" not in fields:
        fields["borrower"] = borrower()
    return Credit.objects.create(**defaults | fields)


def payment(of: Credit, paid: str, amount: Any, kind: int = Dictionary.BODY) -> Payment:
    return Payment.objects.create(
        credit=of, payment_date=date.fromisoformat(paid), sum=Decimal(amount), type_id=kind
    )


def plan(month: str, category: int, amount: Any) -> Plan:
    """Creates a plan; month is such as 2021-06."""
    return Plan.objects.create(
        period=date.fromisoformat(f"{month}-01"), category_id=category, sum=Decimal(amount)
    )


# A small book in the form of the source files: {stem: lines}.
FILES = {
    "users": ["id\tlogin\tregistration_date", "1\tanna\t01.01.2021", "2\tBohdan\t05.01.2021"],
    "credits": [
        "id\tuser_id\tissuance_date\treturn_date\tactual_return_date\tbody\tpercent",
        "1\t1\t10.01.2021\t24.01.2021\t20.01.2021\t1000\t420",
        "2\t2\t20.01.2021\t03.02.2021\t\t2500\t1050.5",
    ],
    "payments": [
        "id\tcredit_id\tpayment_date\ttype_id\tsum",
        "1\t1\t20.01.2021\t1\t1000.00",
        "2\t1\t20.01.2021\t2\t420.00",
        "3\t2\t01.02.2021\t1\t0.01",
    ],
    "dictionary": ["id\tname", "1\tтіло", "2\tвідсотки", "3\tвидача", "4\tзбір"],
    "plans": ["id\tperiod\tsum\tcategory_id", "1\t01.01.2021\t4000\t3", "2\t01.01.2021\t1500\t4"],
}


def files(folder: Path, **changed: list[str]) -> Path:
    """Writes the five files into the folder; lines replaces those of some files."""
    for stem, lines in (FILES | changed).items():
        (folder / f"{stem}.csv").write_text("\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return folder
