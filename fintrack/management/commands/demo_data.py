"""manage.py demo_data: generate an invented book that resembles a real one.

The constants are fitted to a real book of 31 months, 4,000 credits and 46,174 payments. Days are ordinals;
money is in whole kopecks, except `body`, which is in whole hryvnias.
"""

import csv
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

HEADERS = {
    "users.csv": "id login registration_date",
    "credits.csv": "id user_id issuance_date return_date actual_return_date body percent",
    "payments.csv": "id credit_id payment_date type_id sum",
    "dictionary.csv": "id name",
    "plans.csv": "id period sum category_id",
}
BODY, INTEREST, ISSUANCE, COLLECTION = 1, 2, 3, 4
DICTIONARY = (("тіло",), ("відсотки",), ("видача",), ("збір",))

MONTHS = 31
TERM = 14  # days from issuance to the deadline

# Relative number of credits issued in each month, January first: square roots of the real counts (12 to
# 551), so that the book's shape hardly depends on its last month. Each year issues GROWTH times more than
# the year before.
SEASON = (35, 56, 69, 81, 105, 109, 117, 137, 166, 194, 235, 133)
GROWTH = 2.5

# How many of 100 credits are returned in each span of days after issuance. As a result 87% are late, and
# 31, 60, 73 and 79% of the principal is repaid 0, 1, 2 and 3 months after the month of issuance, about as in
# the real book. The last span reaches past the end of the book, so some credits of every month stay open.
RETURNED = (13, 18, 25, 26, 3, 15)
RETURN_DAYS = ((0, 14), (15, 44), (45, 75), (76, 210), (211, 400), (401, 2000))

# A credit is repaid in 1 to 1 + (days until its return) / (this number) parts: 11 to 12 payments on average.
DAYS_A_PART = {BODY: 14, INTEREST: 7}

REGISTERED_BEFORE = 300  # days before the first credit, at most

Row = tuple[object, ...]  # a line of a file without its id, which is the line's number


class Command(BaseCommand):
    help = "Generate an invented book: the five files that load_data reads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", metavar="DIR", help="where to write; created if it doesn't exist")
        parser.add_argument("--credits", type=int, default=4000, help="credits, and as many borrowers (4000)")
        parser.add_argument("--until", metavar="DATE", help="last day of the book, YYYY-MM-DD (today)")
        parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["credits"] < 1:
            raise CommandError("--credits must be 1 or more.")
        until = last_day(options["until"])
        directory = Path(options["directory"])
        if taken := [name for name in HEADERS if (directory / name).exists()]:
            raise CommandError(f"{directory} already has {', '.join(taken)}; nothing was written.")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            book = make_book(options["credits"], until, options["seed"])
            counts = [f"{name} {write(directory / name, HEADERS[name], rows)}" for name, rows in book.items()]
        except OSError as error:
            raise CommandError(f"Can't write: {error}") from error
        self.stdout.write(f"{directory}: {', '.join(counts)} rows")


def last_day(text: str | None) -> date:
    """Returns the date given by `--until`, by default today."""
    try:
        day = timezone.localdate() if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--until must be a date such as 2022-07-31, not {text!r}.") from error
    if not 2000 <= day.year < 2100:
        raise CommandError(f"--until must be in the years 2000 to 2099, not {day.year}.")
    return day


def write(path: Path, header: str, rows: Iterable[Row]) -> int:
    """Writes the rows, numbered from 1 in the first column, and returns their number."""
    number = 0
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, dialect="excel-tab")
        writer.writerow(header.split())
        for number, row in enumerate(rows, 1):
            writer.writerow((number, *row))
    return number


def make_book(count: int, until: date, seed: int) -> dict[str, Iterable[Row]]:
    """Returns the rows of each file. The same arguments give the same rows on every version of Python."""
    rng = Random(seed)  # noqa: S311 - nothing here is secret
    after = until.year * 12 + until.month
    months = [date(month // 12, month % 12 + 1, 1) for month in range(after - MONTHS, after)]
    days = range(months[0].toordinal(), until.toordinal() + 1)

    issuances = draw_issuances(rng, count, days)
    borrowers, borrower_ids = draw_borrowers(rng, issuances, days)
    bodies = [rng.randrange(500, 5001, 500) for _ in issuances]
    lent, payments = draw_credits(rng, issuances, borrower_ids, bodies, days)

    issued, collected = Counter[date](), Counter[date]()
    for day, body in zip(issuances, bodies, strict=True):
        issued[month_of(day)] += body * 100
    for day, paid in zip(days, payments, strict=True):
        collected[month_of(day)] += sum(amount for _, _, amount in paid)

    return {
        "users.csv": borrowers,
        "credits.csv": lent,
        "payments.csv": (
            (credit_id, dmy(day), type_id, money(amount))
            for day, paid in zip(days, payments, strict=True)
            for credit_id, type_id, amount in paid
        ),
        "dictionary.csv": DICTIONARY,
        "plans.csv": draw_plans(rng, months, issued, collected, until),
    }


def draw_issuances(rng: Random, count: int, days: range) -> list[int]:
    """Returns the issuance dates of all credits, in order; each year has more, mostly towards its end."""
    dates = [date.fromordinal(day) for day in days]
    weights = (SEASON[day.month - 1] * GROWTH ** (day.year - dates[0].year) for day in dates)
    return sorted(rng.choices(days, cum_weights=list(accumulate(weights)), k=count))


def draw_borrowers(rng: Random, issuances: list[int], days: range) -> tuple[list[Row], list[int]]:
    """Returns as many borrowers as credits, ordered by registration, and the borrower id of each credit.

    Each credit goes to a random borrower, which leaves 1/e (37%) of them without one; in the real book 36%.
    """
    takers = [rng.randrange(len(issuances)) for _ in issuances]
    first_credit = dict(zip(reversed(takers), reversed(issuances), strict=True))
    registered = []
    for taker in range(len(issuances)):
        latest = first_credit.get(taker) or rng.choice(days)
        longest = rng.randint(0, min(REGISTERED_BEFORE, latest - days[0]))
        registered.append(latest - rng.randint(0, longest))
    order = sorted(range(len(issuances)), key=registered.__getitem__)
    ids = {taker: number for number, taker in enumerate(order, 1)}
    names = logins(rng)
    return [(next(names), dmy(registered[taker])) for taker in order], [ids[taker] for taker in takers]


def draw_credits(
    rng: Random, issuances: list[int], borrower_ids: list[int], bodies: list[int], days: range
) -> tuple[list[Row], list[list[tuple[int, int, int]]]]:
    """Returns the credits, and the payments of each day as (credit id, type id, kopecks).

    The payments of a credit fall on random days until its return; the last payment of interest is on the day
    of return. Payments after the end of the book are left out, so an open credit is only partly repaid.
    """
    lent: list[Row] = []
    payments: list[list[tuple[int, int, int]]] = [[] for _ in days]
    spans = rng.choices(RETURN_DAYS, RETURNED, k=len(issuances))
    drawn = zip(issuances, borrower_ids, bodies, spans, strict=True)
    for number, (issued, borrower_id, body, span) in enumerate(drawn, 1):
        returned = issued + rng.randint(*span)
        if number == len(issuances):
            returned = days[-1]  # even the smallest book ends with a payment
        interest = accrued(body, min(returned, days[-1]) - issued)
        for type_id, amount in ((BODY, body * 100), (INTEREST, interest)):
            count = rng.randint(1, 1 + (returned - issued) // DAYS_A_PART[type_id])
            paid_on = [rng.randint(issued, returned) for _ in range(count)]
            if type_id == INTEREST:
                paid_on[-1] = returned
            for day, part in zip(paid_on, equal_parts(amount, count), strict=True):
                if day <= days[-1]:
                    payments[day - days[0]].append((number, type_id, part))
        closed = dmy(returned) if returned <= days[-1] else ""
        lent.append((borrower_id, dmy(issued), dmy(issued + TERM), closed, body, money(interest)))
    return lent, payments


def draw_plans(
    rng: Random, months: list[date], issued: Counter[date], collected: Counter[date], until: date
) -> Iterator[Row]:
    """Yields two plans for each month, in whole thousands of hryvnias, of which 75 to 130% was reached."""
    for month in months:
        for category_id, actuals in ((ISSUANCE, issued), (COLLECTION, collected)):
            actual = actuals[month]
            if month == months[-1]:  # a plan is for the whole month, in which the book may end early
                actual = actual * monthrange(until.year, until.month)[1] // until.day
            thousands = (actual * 100 // rng.randint(75, 130) + 50_000) // 100_000
            yield dmy(month.toordinal()), max(1, thousands) * 1000, category_id


def accrued(body: int, age: int) -> int:
    """Returns the interest in kopecks: 3% of the body a day for the whole term, then 1.5% a day."""
    return body * 3 * TERM + body * 3 // 2 * max(0, age - TERM)


def equal_parts(amount: int, count: int) -> list[int]:
    """Splits the amount into parts that differ by at most 1."""
    part, rest = divmod(amount, count)
    return [part + 1] * rest + [part] * (count - rest)


@cache
def dmy(day: int) -> str:
    return date.fromordinal(day).strftime("%d.%m.%Y")


@cache
def month_of(day: int) -> date:
    return date.fromordinal(day).replace(day=1)


def money(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02}"


def logins(rng: Random) -> Iterator[str]:
    """Yields an endless series of unique logins: pairs of words, then pairs with a number."""
    pairs = [first + second for first in FIRST_WORDS for second in SECOND_WORDS]
    rng.shuffle(pairs)
    yield from pairs
    number = 2
    while True:
        yield from (f"{pair}{number}" for pair in pairs)
        number += 1


FIRST_WORDS = """
    able agile amber ample azure bold brave brief bright brisk broad calm candid careful cheerful civil
    clear clever coastal cosy crimson crisp curious daring deep eager early easy elder exact fair famous
    fancy fluent fond frank fresh friendly gentle glad golden grand green handy happy hardy hazel honest
    humble ideal jolly keen kind lively loyal lucky lunar mellow merry mighty mild modest native neat
    nimble noble northern olive patient plain polite proud quick quiet rapid ready royal rustic scarlet
    secret serene sharp silent silver simple smart smooth social solar solid southern spare steady still
    sunny sweet swift tender thrifty tidy vivid warm western wise witty young
""".split()  # noqa: SIM905 - easier to read than a list

SECOND_WORDS = """
    acorn anchor apple arrow badger bakery beacon bridge brook button cabin candle canyon carpet castle
    cedar cherry circle clover cobalt comet copper coral cottage cricket crystal dolphin drum eagle ember
    engine falcon feather fern fiddle forest fountain fox garden glacier harbour harvest hawk hedge heron
    hill horizon island ivy jacket jasmine kettle lagoon lantern lemon lily linen lizard maple market
    meadow melody mirror moon mountain needle nutmeg oak ocean orchard otter paddle panda paper pebble
    pepper piano pilot planet pocket pond poplar prairie puzzle quartz rabbit rain raven river robin
    saddle sailor sparrow spring stone summit thistle thunder tiger timber tulip valley velvet violin
    walnut whisper willow window winter yarn
""".split()  # noqa: SIM905 - easier to read than a list
