"""Measures how long each report and list takes, and how the time grows with the book.

    python bench/answers.py [--sizes 46000 1000000 10000000] [--rounds 20] [--patience 20]
    python tests/services.py python bench/answers.py

makes a book of each size, in a new database: on the server of DATABASE_URL if it names one, or else in an
SQLite file. It sends each request in this process, without a web server: to the API with a token, for pages
with a session. "Cold" means that the cache (Redis if REDIS_URL is set, or else local memory) is emptied
before each request. The first request for an address isn't counted. With 20 rounds p99 is the slowest round.
Rounds end early once they have taken --patience seconds. CPU is the median CPU time of this process; it
includes SQLite's work, but not that of a database server. Queries are the SQL statements of one request. The
growth from the smallest book to the largest compares the fastest rounds, which other programs on the machine
disturb least.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

from book import borrower, editor, fill, use_django
from load_data import ROOT, fresh_database

API = (
    "year_performance?year=2021",
    "plans_performance?check_date=2022-12-31",
    "month?month=2021-06",
    "pace?check_date=2021-06-15",
    "year_on_year?year=2022",
    "overview",
    "user_credits/{borrower}",
    "borrower/{borrower}",
    "forecast?check_date=2022-07-15",
    "forecast_parts?check_date=2022-07-15",
    "ageing?check_date=2022-07-31",
    "portfolio_trend?check_date=2022-07-31",
    "provisions?check_date=2022-07-31",
    "vintages?check_date=2022-07-31",
    "collection_efficiency?check_date=2022-07-31",
    "first_payment_default?check_date=2022-07-31",
    "roll_rates?month=2022-06&months=24",
    "expected_receipts?check_date=2022-07-31",
    "new_and_returning?check_date=2022-07-31",
    "top_borrowers?check_date=2022-07-31",
    "data_quality",
)
PAGES = (
    "/",
    "/reports/year-performance/?year=2021",
    "/reports/plans-performance/?check_date=2022-12-31",
    "/reports/month/?month=2021-06",
    "/reports/year-on-year/?year=2022",
    "/reports/borrowers/{borrower}/",
    "/reports/forecast/?check_date=2022-07-15",
    "/reports/ageing/?check_date=2022-07-31",
    "/reports/portfolio-trend/?check_date=2022-07-31",
    "/reports/provisions/?check_date=2022-07-31",
    "/reports/vintages/?check_date=2022-07-31",
    "/reports/collection-efficiency/?check_date=2022-07-31",
    "/reports/first-payment-default/?check_date=2022-07-31",
    "/reports/roll-rates/?month=2022-06&months=24",
    "/reports/expected-receipts/?check_date=2022-07-31",
    "/reports/new-and-returning/?check_date=2022-07-31",
    "/reports/top-borrowers/?check_date=2022-07-31",
    "/reports/data-quality/",
)
LISTS = {"payments": "Payment", "credits": "Credit", "borrowers": "Borrower"}
FILTERED = (
    "/reports/payments/?paid_from=2021-01-01&paid_to=2021-12-31",
    "/reports/credits/?issued_from=2021-01-01&issued_to=2021-12-31",
    "/reports/borrowers/?search=anchor",
    "/reports/credits/?check_date=2022-07-31&state=open&due_from=2022-05-31&due_to=2022-06-30",
    "/reports/credits/?due_from=2022-05-01&due_to=2022-05-31&late=30&history=new",
    "/reports/credits/?flaw=closed_unpaid",
    "/reports/payments/?issued_from=2022-05-01&issued_to=2022-05-31&paid_to=2022-06-30&kind=1",
    "/reports/payments/?due_from=2022-05-01&due_to=2022-05-31&kind=1&within=30",
)
ORDERINGS = {
    "payments": ("id", "payment_date", "sum"),
    "credits": ("id", "issuance_date", "return_date", "body", "percent"),
    "borrowers": ("id", "login", "registration_date"),
}

Figures = dict[str, float]  # fastest, p50, p99, cpu (all ms), queries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    sizes = [46_000, 1_000_000, 10_000_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="payments in each book")
    parser.add_argument("--rounds", type=int, default=20, help="requests for each address (20)")
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds for all rounds of an address (20)"
    )
    parser.add_argument("--step", type=int, metavar="SIZE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        json.dump(measure_all(options.step, options.rounds, options.patience), sys.stdout)
        return
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"]
    subprocess.run(collect, cwd=ROOT, check=True)
    results = {}
    with tempfile.TemporaryDirectory(prefix="fintrack-bench-") as folder:
        for size in options.sizes:
            with fresh_database(Path(folder, f"book{size}")) as url:
                command = [sys.executable, __file__, "--step", str(size)]
                command += ["--rounds", str(options.rounds), "--patience", str(options.patience)]
                environment = os.environ | {"DATABASE_URL": url, "API_RATE": "1000000000/min"}
                step = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
                results[size] = json.loads(step.stdout)
    for state in ("cold", "warm"):
        print_table(state, {size: by_state[state] for size, by_state in results.items()})


def print_table(state: str, results: dict[int, dict[str, Figures]]) -> None:
    smallest, largest = min(results), max(results)
    heads = [f"{size:,}: p50 ms | p99 ms | CPU ms | queries" for size in results]
    print(f"\n{state.capitalize()}, by the number of payments\n")
    print(f"| | {' | '.join(heads)} | growth |")
    print("|---" + "|--:" * (4 * len(heads) + 1) + "|")
    for question, figures in results[largest].items():
        cells = [
            f"{at['p50']:.1f} | {at['p99']:.1f} | {at['cpu']:.1f} | {at['queries']:.0f}"
            for at in (by_question[question] for by_question in results.values())
        ]
        growth = figures["fastest"] / results[smallest][question]["fastest"]
        print(f"| `{question}` | {' | '.join(cells)} | {growth:.1f} |")


def measure_all(size: int, rounds: int, patience: float) -> dict[str, dict[str, Figures]]:
    """Fills the database of DATABASE_URL, and returns the figures of each question, cold and warm."""
    use_django()
    start = time.perf_counter()
    print(f"{fill(size):,} payments in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    from django.core.cache import cache
    from django.test import Client

    token, session = editor()
    program = Client(SERVER_NAME="127.0.0.1", headers={"Authorization": f"Token {token}"})
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.cookies["sessionid"] = session
    found: dict[str, dict[str, Figures]] = {"cold": {}, "warm": {}}
    for name, address in questions(browser).items():
        client = program if address.startswith("/api/") else browser
        for state, prepare in (("cold", cache.clear), ("warm", lambda: None)):
            found[state][name] = measure(client, address, prepare, rounds, patience)
    return found


def questions(browser: Any) -> dict[str, str]:
    """Returns {name: address} of all questions."""
    who = borrower()
    named = {path.format(borrower="ID"): path.format(borrower=who) for path in PAGES}
    named |= {f"/api/v1/{path}".format(borrower="ID"): f"/api/v1/{path}".format(borrower=who) for path in API}
    for name in LISTS:
        first = f"/reports/{name}/"
        named |= {first: first, f"{first}, last page": last_page(browser, name)}
    named |= {path: path for path in FILTERED}
    for name, fields in ORDERINGS.items():
        ordered = [f"/api/v1/{name}?ordering={sign}{field}" for field in fields for sign in ("", "-")]
        named |= {path: path for path in ordered}
    return named


def last_page(browser: Any, name: str) -> str:
    """Returns the address of the list's link to its last page, or the list's own if it has only one page."""
    path = f"/reports/{name}/"
    for link in re.findall(r"<a\b[^>]*>", browser.get(path).content.decode()):
        if 'rel="last"' in link and (href := re.search(r'href="([^"]*)"', link)):
            return path + unescape(href[1]).removeprefix(path)
    return path


def measure(
    client: Any, address: str, prepare: Callable[[], object], rounds: int, patience: float
) -> Figures:
    from django.db import connection

    took, cost, statements = [], [], 0

    def count(execute: Callable[..., Any], *args: Any) -> Any:
        nonlocal statements
        statements += 1
        return execute(*args)

    end = time.perf_counter() + patience
    for number in range(rounds + 1):
        prepare()
        statements = 0
        start, used = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(count):
            response = client.get(address)
        now = time.perf_counter()
        if response.status_code != 200:
            sys.exit(f"{address}: {response.status_code} {response.content[:500]!r}")
        if number:
            took.append((now - start) * 1000)
            cost.append((time.process_time() - used) * 1000)
            if now > end:
                break
    return {
        "fastest": min(took),
        "p50": statistics.median(took),
        "p99": sorted(took)[-(-len(took) * 99 // 100) - 1],
        "cpu": statistics.median(cost),
        "queries": statements,
    }


if __name__ == "__main__":
    main()
