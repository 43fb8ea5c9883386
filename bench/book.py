"""Makes a book of millions of payments in minutes.

    python bench/book.py [--payments 10000000] [--seed 1]

fills the database of DATABASE_URL, which must be migrated and empty. It loads a demo book of about 46,000
payments, from January 2020 to July 2022, and lets the database multiply it. Each borrower, credit and payment
is copied as often as needed, on the same days, with amounts one to five times as large. The plans are
multiplied too. Copies of a row have neighbouring ids, so ids follow the days, as in a book that grew over
time. It is fast because the indexes are filled nearly in order.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from io import StringIO

from load_data import PAYMENTS_A_CREDIT, ROOT, UNTIL

BASE = 46_200  # the most payments of the book that is copied
BATCH = 50_000  # rows in one statement
SET_ASIDE = """
    CREATE TEMPORARY TABLE base_borrower AS SELECT * FROM credits_borrower;
    CREATE TEMPORARY TABLE base_credit AS SELECT * FROM credits_credit;
    CREATE TEMPORARY TABLE base_payment AS SELECT * FROM credits_payment;
    CREATE INDEX base_borrower_id ON base_borrower (id);
    CREATE INDEX base_credit_id ON base_credit (id);
    CREATE INDEX base_payment_id ON base_payment (id);
    DELETE FROM credits_payment;
    DELETE FROM credits_credit;
    DELETE FROM credits_borrower
"""

# {query for the last row: statement that copies rows}. Copy n of row i gets the id (i - 1) * copies + n + 1.
COPIES = {
    "SELECT MAX(id) FROM base_borrower": """
        INSERT INTO credits_borrower (id, login, registration_date)
        SELECT (base.id - 1) * %(copies)s + n + 1, CASE n WHEN 0 THEN login ELSE login || '.' || n END,
            registration_date
        FROM base_borrower AS base CROSS JOIN copy
        WHERE base.id BETWEEN %(first)s AND %(last)s ORDER BY base.id, n
    """,
    "SELECT MAX(id) FROM base_credit": """
        INSERT INTO credits_credit
            (id, borrower_id, issuance_date, return_date, actual_return_date, body, percent)
        SELECT (base.id - 1) * %(copies)s + n + 1, (borrower_id - 1) * %(copies)s + n + 1,
            issuance_date, return_date, actual_return_date, ROUND(body * times, 2), ROUND(percent * times, 2)
        FROM base_credit AS base CROSS JOIN copy
        WHERE base.id BETWEEN %(first)s AND %(last)s ORDER BY base.id, n
    """,
    "SELECT MAX(id) FROM base_payment": """
        INSERT INTO credits_payment (id, credit_id, payment_date, type_id, sum)
        SELECT (base.id - 1) * %(copies)s + n + 1, (credit_id - 1) * %(copies)s + n + 1,
            payment_date, type_id, ROUND(sum * times, 2)
        FROM base_payment AS base CROSS JOIN copy
        WHERE base.id BETWEEN %(first)s AND %(last)s ORDER BY base.id, n
    """,
}
ANALYZE = {
    "sqlite": "ANALYZE",
    "mysql": "ANALYZE TABLE credits_borrower, credits_credit, credits_payment, plans_plan",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--payments", type=int, default=10_000_000, help="approximate number (10000000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another book (1)")
    options = parser.parse_args()
    use_django()
    start = time.perf_counter()
    payments = fill(options.payments, options.seed)
    print(f"{payments:,} payments in {time.perf_counter() - start:.0f} s")


def use_django() -> None:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fintrack.settings")
    import django

    django.setup()
    logging.getLogger("fintrack.logs").propagate = False  # it would log a line for each request


def editor() -> tuple[str, str]:
    """Creates an account that may read and write the book. Returns its token and the key of a session."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    printed = StringIO()
    call_command("api_token", "bench", role="editor", stdout=printed)
    client = Client()
    client.force_login(get_user_model().objects.get(username="bench"), "fintrack.identity.Backend")
    return printed.getvalue().strip(), client.cookies["sessionid"].value


def borrower() -> int:
    """Returns the id of a borrower with three credits."""
    from django.apps import apps
    from django.db.models import Count

    credits_ = apps.get_model("credits", "Credit")._default_manager.order_by("borrower_id")
    counted = credits_.values_list("borrower_id").annotate(count=Count("pk"))
    return int(counted.filter(count=3)[0][0])


def fill(payments: int, seed: int = 1) -> int:
    """Fills the database with a book of about this many payments, and returns their exact number."""
    from django.core.management import call_command
    from django.db import connection

    copies = -(-payments // BASE)
    with tempfile.TemporaryDirectory(prefix="fintrack-bench-") as folder:
        credits_ = max(1, round(payments / copies / PAYMENTS_A_CREDIT))
        call_command("demo_data", folder, credits=credits_, until=UNTIL, seed=seed, stdout=StringIO())
        call_command("load_data", folder, stdout=StringIO())
    if copies > 1:
        multiply(copies)
    call_command("renew_stamp")  # SQL wrote the book: all totals are computed again
    with connection.cursor() as cursor:
        cursor.execute(ANALYZE[connection.vendor])
        cursor.execute("SELECT COUNT(*) FROM credits_payment")
        return int(cursor.fetchone()[0])


def multiply(copies: int) -> None:
    """Copies each row of the book, with SQL statements that skip the usual checks of each row."""
    from django.db import connection

    times = [1 + n % 5 for n in range(copies)]
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute("SET unique_checks = 0, sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')")
        else:
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA cache_size = -500000")  # KB
        cursor.execute("CREATE TEMPORARY TABLE copy (n INTEGER, times INTEGER)")
        cursor.executemany("INSERT INTO copy VALUES (%s, %s)", list(enumerate(times)))
        for statement in SET_ASIDE.split(";"):
            cursor.execute(statement)
        for last_row, insert in COPIES.items():
            cursor.execute(last_row)
            rows, step = cursor.fetchone()[0], max(1, BATCH // copies)
            for first in range(1, rows + 1, step):
                cursor.execute(insert, {"copies": copies, "first": first, "last": first + step - 1})
        cursor.execute("UPDATE plans_plan SET sum = sum * %s", [sum(times)])
    connection.close()  # this drops its settings and its temporary tables


if __name__ == "__main__":
    main()
