"""Cached reports: cache entries, ETags, numbers of queries, and what a broken cache costs."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal
from types import NoneType, SimpleNamespace, UnionType
from typing import get_args, get_type_hints

import pytest
import time_machine
from django.conf import settings as project
from django.core.cache import cache
from django.db import connection, transaction
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as search
from hypothesis import strategies as st

from credits.models import Credit, Dictionary, Payment
from fintrack.access import ANALYST, EDITOR
from fintrack.api.problems import Busy
from fintrack.management.commands.api_token import token_for
from reports import cache as reports_cache
from reports import plans_performance, urls, user_credits, year_performance
from reports.cache import Question, get_or_compute, key_of
from reports.models import DataStamp
from reports.report import Report

from . import builders, services

MYSQL = "mysql" in project.DATABASES["default"]["ENGINE"]
REDIS = "redis" in project.CACHES["default"]["BACKEND"]

REPORTS = [route.callback.view_initkwargs["report"] for route in urls.api]
ADDRESSES = {
    "year_performance": "/year_performance?year=2021",
    "plans_performance": "/plans_performance?check_date=2021-06-15",
    "user_credits": "/user_credits/{borrower}",
}
each_address = pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)

only_redis = pytest.mark.skipif(not REDIS, reason="without REDIS_URL the cache is local memory")


@pytest.fixture
def book(committed) -> Credit:
    """Creates an open credit with payments of both kinds, a closed one, and plans, one of which is 0."""
    credit = builders.credit("2021-06-01", "1500.50", percent="20")
    builders.payment(credit, "2021-06-02", "1000.10")
    builders.payment(credit, "2021-06-03", "0.20", Dictionary.INTEREST)
    returned = date(2021, 7, 1)
    closed = builders.credit("2021-06-20", "7", borrower=credit.borrower, actual_return_date=returned)
    builders.payment(closed, "2021-07-01", "7")
    builders.plan("2021-06", Dictionary.ISSUANCE, "3000")
    builders.plan("2021-06", Dictionary.COLLECTION, "0")
    return credit


@pytest.fixture
def ask(book, analyst):
    """Requests an address as an analyst: ask("/…", If-None-Match=…)."""

    def ask(address: str, method: str = "get", **headers: str):
        return getattr(analyst, method)(address.format(borrower=book.borrower_id), headers=headers)

    return ask


def year(year: int = 2021) -> reports_cache.Answer:
    return get_or_compute(year_performance.report, {"year": year})


def pay(amount: str = "5") -> None:
    builders.payment(Credit.objects.first(), "2021-06-05", amount)


def collected(answer: reports_cache.Answer) -> Decimal:
    return sum(row.actual_collection_sum for row in answer.rows)


# Cache entries


@each_address
def test_the_second_answer_comes_from_the_cache_and_is_the_same(ask, address):
    first, second = ask(address), ask(address)
    assert (first["X-Cache"], second["X-Cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert len(first.json()) > 0


def test_page_api_and_downloads_share_a_cache_entry(ask):
    seen = [
        ask(address)["X-Cache"]
        for address in (
            "/reports/year-performance/?year=2021",
            "/year_performance?year=2021",
            "/api/v1/year_performance?year=2021",
            "/year_performance?year=2021&format=csv",
            "/reports/year-performance/?year=2021&format=xlsx",
        )
    ]
    assert seen == ["miss", "hit", "hit", "hit", "hit"]


def test_an_empty_report_is_cached_too(committed):
    assert [year(1999)[::2], year(1999)[::2]] == [([], False), ([], True)]


def test_a_write_makes_cached_reports_stale(book):
    assert (collected(year()), year().hit) == (Decimal("1007.30"), True)
    pay("5")
    answer = year()
    assert (collected(answer), answer.hit) == (Decimal("1012.30"), False)


def test_renew_stamp_makes_cached_reports_stale(book):
    year()
    DataStamp.renew()
    assert not year().hit


def test_other_parameters_have_another_cache_entry(book):
    year(2021)
    assert not year(2022).hit
    assert year(2021).hit


def test_reports_with_the_same_parameters_have_separate_cache_entries(book):
    year()
    assert not get_or_compute(replace(year_performance.report, name="another"), {"year": 2021}).hit


def test_reports_that_depend_on_today_are_computed_again_the_next_day(book):
    def overdue(day: str) -> list:
        with time_machine.travel(f"{day} 12:00 +0300"):
            params = user_credits.Params(QueryDict(f"user_id={book.borrower_id}")).checked()
            del params["format"]
            answer = get_or_compute(user_credits.report, params)
            return [answer.rows[0].overdue_days, answer.hit]

    assert [overdue("2021-06-20"), overdue("2021-06-20"), overdue("2021-06-21")] == [
        [5, False],
        [5, True],
        [6, False],
    ]


def test_another_release_has_other_cache_entries(book, monkeypatch):
    year()
    monkeypatch.setattr(reports_cache, "RELEASE", "another")
    assert not year().hit


def test_the_release_changes_with_any_line_of_the_code(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    for app in ("credits", "plans", "reports"):
        (tmp_path / app).mkdir()
    source = tmp_path / "reports" / "some.py"
    source.write_text("a = 1")
    template = tmp_path / "templates" / "reports" / "some.html"
    template.parent.mkdir(parents=True)
    template.write_text("a")
    releases = [reports_cache.release()]
    source.write_text("a = 2")
    releases.append(reports_cache.release())
    template.write_text("b")
    releases.append(reports_cache.release())
    assert len(set(releases)) == 3


def test_each_part_of_the_key_makes_a_different_key():
    report, params = year_performance.report, {"day": date(2021, 6, 1), "count": 1}
    keys = {
        key_of(report, params, "stamp"),
        key_of(report, params, "another"),
        key_of(report, params | {"day": date(2021, 6, 2)}, "stamp"),
        key_of(report, params | {"count": "1"}, "stamp"),
        key_of(plans_performance.report, params, "stamp"),
    }
    assert len(keys) == 5
    assert key_of(report, dict(reversed(params.items())), "stamp") in keys


# Forms of an answer

FORMS = ["", "&format=csv", "&format=xlsx"]
PAGE = "/reports/year-performance/?year=2021"
PAGES = [
    "/",
    "/?check_date=2021-06-15",
    "/reports/year-performance/?year=2021",
    "/reports/year-on-year/?year=2021",
    "/reports/month/?month=2021-06",
    "/reports/plans-performance/?check_date=2021-06-15",
    "/reports/borrowers/{borrower}/",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_cached_responses_have_the_same_bytes_and_headers(ask, form, encoding):
    address = f"/year_performance?year=2021{form}"
    made, kept = (ask(address, **{"Accept-Encoding": encoding}) for _number in range(2))
    assert (made["X-Cache"], kept["X-Cache"]) == ("miss", "hit")
    assert made.content == kept.content
    ignored = {"X-Cache": "", "X-Request-ID": ""}
    assert {**made.headers, **ignored} == {**kept.headers, **ignored}
    assert kept.get("Content-Encoding", "identity") == encoding
    assert kept["ETag"].startswith("W/") == (encoding == "gzip")
    assert {"Accept", "Accept-Encoding", "Authorization", "Cookie"} <= set(kept["Vary"].split(", "))


def test_a_cached_response_is_sent_without_loading_its_rows(ask, monkeypatch):
    first = ask("/year_performance?year=2021")
    monkeypatch.setattr(Report, "loaded", None)
    assert ask("/year_performance?year=2021").content == first.content


def test_a_304_does_not_read_the_cache(ask):
    etag = ask("/year_performance?year=2021")["ETag"]
    cache.clear()
    assert ask("/year_performance?year=2021", **{"If-None-Match": etag}).status_code == 304
    assert ask("/year_performance?year=2021")["X-Cache"] == "miss"


def test_if_none_match_any_returns_404_for_an_unknown_borrower(ask):
    assert ask("/user_credits/404404", **{"If-None-Match": "*"}).status_code == 404


def without_secret(response) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())


@pytest.mark.parametrize("address", PAGES)
def test_a_cached_page_is_the_same_as_one_made_for_its_reader(book, client_as, address):
    address = address.format(borrower=book.borrower_id)
    analyst, editor = client_as(ANALYST), client_as(EDITOR)
    assert editor.get(address).status_code == 200  # fills the cache
    kept = analyst.get(address)
    cache.clear()
    made = analyst.get(address)
    assert (kept["X-Cache"], made["X-Cache"]) == ("hit", "miss")
    assert without_secret(kept) == without_secret(made)


@pytest.mark.parametrize("address", PAGES)
def test_a_cached_page_queries_only_the_sign_in_and_the_stamp(ask, address):
    """The overview's newest imports are read anew: a refused file, for example, changes no stamp."""
    ask(address)
    with CaptureQueriesContext(connection) as captured:
        assert ask(address).status_code == 200
    imports = [] if address.startswith("/reports/") else ["trail_load"]
    assert tables(captured) == SESSION + STAMP + imports


def test_pages_are_rendered_again_on_the_next_day(ask):
    """A page may show the last day of the book up to today."""
    address = "/reports/month/?month=2021-06"
    with time_machine.travel("2021-06-05 12:00 +0300"):
        early = ask(address)
    with time_machine.travel("2021-06-25 12:00 +0300"):
        assert without_secret(ask(address)) != without_secret(early)


@pytest.mark.parametrize("address", ["/reports/month/?month=2021-06", "/reports/credits/"])
def test_a_page_names_the_state_of_the_book_for_prints(ask, address):
    def state() -> list[str]:
        return re.findall(r"State of the book: (\w+)\.", ask(address).content.decode())

    first = DataStamp.current()
    assert [state(), state()] == [[first[:8]], [first[:8]]]  # the second page may be from the cache
    pay()
    assert DataStamp.current() != first
    assert state() == [DataStamp.current()[:8]]


# ETag and headers


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "address",
    [
        "/year_performance?year=2021",
        "/year_performance?year=2021&format=csv",
        "/year_performance?year=2021&format=xlsx",
        "/reports/year-performance/?year=2021&format=csv",
        "/reports/year-performance/?year=2021&format=xlsx",
    ],
)
def test_a_matching_etag_gets_304(ask, address, method):
    first = ask(address, method)
    again = ask(address, method, **{"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again["ETag"] == first["ETag"]
    assert again["Cache-Control"] == "private, no-cache"
    other = ask(address, method, **{"If-None-Match": '"another"'})
    assert (other.status_code, other["ETag"]) == (200, first["ETag"])


def test_a_page_has_no_etag_because_it_names_its_user(ask):
    assert "ETag" not in ask("/reports/year-performance/?year=2021")


def test_the_etag_is_not_the_key_in_the_cache(ask):
    etag = ask("/year_performance?year=2021")["ETag"]
    assert etag.strip('"') not in year().key


def test_each_format_has_its_own_etag(ask):
    tags = {ask(f"/year_performance?year=2021{kind}")["ETag"] for kind in ("", "&format=csv", "&format=xlsx")}
    assert len(tags) == 3


def test_a_write_makes_the_etag_stale(ask):
    first = ask("/year_performance?year=2021")
    pay("5")
    again = ask("/year_performance?year=2021", **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.json()[0]["actual_collection_sum"]) == (200, 1005.3)


@pytest.mark.parametrize(
    "address",
    [
        "/year_performance?year=2021",
        "/year_performance?year=2021&format=csv",
        "/year_performance?year=2021&format=xlsx",
        "/reports/year-performance/?year=2021",
    ],
)
def test_figures_are_never_stored_by_shared_caches(ask, address):
    for response in (ask(address), ask(address)):  # computed, and from the cache
        assert response["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= set(response["Vary"].split(", "))


# Inside a transaction


def test_inside_a_transaction_the_cache_is_neither_read_nor_filled(ask):
    address = "/year_performance?year=2021"
    ask(address)
    with transaction.atomic():
        pay("5")
        inside = ask(address)
        transaction.set_rollback(True)
    assert (inside["X-Cache"], inside.json()[0]["actual_collection_sum"]) == ("miss", 1005.3)
    assert "ETag" not in inside
    after = ask(address)
    assert (after["X-Cache"], after.json()[0]["actual_collection_sum"]) == ("hit", 1000.3)


# From rows to JSON and back


def values_of(hint):
    """Returns a strategy for the values of a column, including unusual ones."""
    if isinstance(hint, UnionType):
        return st.one_of(*map(values_of, get_args(hint)))
    known = {
        Decimal: st.decimals(-(10**12), 10**12, places=2) | st.sampled_from([Decimal(0), Decimal("1E+2")]),
        NoneType: st.none(),
        int: st.integers(-(2**63), 2**63),
    }
    return known[hint] if hint in known else st.from_type(hint)


def rows_of(row: type):
    return st.lists(st.builds(row, **{name: values_of(hint) for name, hint in get_type_hints(row).items()}))


def exactly(rows: list) -> list:
    """Returns the rows' class, and each value with its type and all digits: Decimal("1.0") == 1."""
    return [(type(row), [(type(value), repr(value)) for value in asdict(row).values()]) for row in rows]


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
@search(max_examples=25, deadline=None, database=None)
@given(st.data())
def test_rows_survive_json_exactly(report, data):
    rows = data.draw(rows_of(report.row))
    assert exactly(report.loaded(report.dumped(rows))) == exactly(rows)


@pytest.mark.parametrize(
    ("report", "params"),
    [
        (year_performance.report, {"year": 2021}),
        (plans_performance.report, {"check_date": date(2021, 6, 15)}),
        (user_credits.report, {"user_id": None, "today": date(2021, 8, 1)}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_cached_rows_equal_computed_rows(book, report, params):
    params = {name: value or book.borrower_id for name, value in params.items()}
    computed, kept = get_or_compute(report, params), get_or_compute(report, params)
    assert (computed.hit, kept.hit) == (False, True)
    assert exactly(kept.rows) == exactly(computed.rows) == exactly(report.compute(**params))
    assert len(kept.rows) > 0


# Queries


def tables(captured: CaptureQueriesContext) -> list[str]:
    """Returns, for each query, its first table outside brackets, or else its first word."""
    names = []
    for query in captured.captured_queries:
        sql = query["sql"]
        while (flat := re.sub(r"\([^()]*\)", "", sql)) != sql:
            sql = flat
        found = re.search(r"\bFROM [`\"]?(\w+)", sql)
        names.append(found[1] if found else sql.split()[0])
    return names


SESSION = ["django_session", "auth_user"]  # the account comes with its permissions
TOKEN = ["knox_authtoken"]
STAMP = ["reports_datastamp"]
# The stamp is read to look up the answer, then before the snapshot, and then in it.
AT_ONE_STAMP = [*STAMP, *STAMP, "BEGIN", *(["SET", "START"] if MYSQL else []), *STAMP]
COMPUTED = {
    "year_performance": ["book_daily_total", "book_daily_total", "plans_plan"],
    "plans_performance": ["plans_plan", "book_daily_total", "book_daily_total"],
    "user_credits": ["credits_borrower", "credits_credit"],
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_cache_hit_queries_only_the_sign_in_and_the_stamp(ask, name):
    ask(ADDRESSES[name])
    with CaptureQueriesContext(connection) as captured:
        assert ask(ADDRESSES[name])["X-Cache"] == "hit"
    assert tables(captured) == SESSION + STAMP


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_cache_miss_adds_a_snapshot_and_the_reports_queries(ask, name):
    with CaptureQueriesContext(connection) as captured:
        assert ask(ADDRESSES[name])["X-Cache"] == "miss"
    assert tables(captured) == [*SESSION, *AT_ONE_STAMP, *COMPUTED[name], "COMMIT"]


def test_a_cache_hit_with_a_token_queries_only_the_token_and_the_stamp(book, client):
    headers = {"Authorization": f"Token {token_for('program', ANALYST, date.resolution, 'a test')}"}
    client.get(ADDRESSES["year_performance"], headers=headers)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(ADDRESSES["year_performance"], headers=headers)
    assert (response["X-Cache"], tables(captured)) == ("hit", TOKEN + STAMP)


def test_a_refused_request_costs_no_more_queries_than_signing_in(book, stranger):
    with CaptureQueriesContext(connection) as captured:
        assert stranger.get(ADDRESSES["year_performance"]).status_code == 403
    assert tables(captured) == SESSION


# Simultaneous requests


def aside(action):
    """Runs it in a thread with its own connection. Returns (thread, list that receives the result)."""
    results = []

    def run() -> None:
        try:
            results.append(action())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


class Held:
    """Year performance whose first computation continues until `go` is set."""

    def __init__(self) -> None:
        self.started, self.go = threading.Event(), threading.Event()
        self.computations = 0
        self.report = replace(year_performance.report, compute=self.compute)

    def compute(self, **params):
        self.computations += 1
        if self.computations == 1:
            self.started.set()
            assert self.go.wait(20)
        return year_performance.compute(**params)

    def ask(self) -> reports_cache.Answer:
        return get_or_compute(self.report, {"year": 2021})


def test_one_of_two_simultaneous_requests_computes(book, monkeypatch):
    held = Held()
    # The second request finds no entry, but a claim: it waits.
    steered = SimpleNamespace(
        monotonic=time.monotonic, sleep=lambda seconds: held.go.set() or time.sleep(seconds)
    )
    monkeypatch.setattr(reports_cache, "time", steered)
    monkeypatch.setattr(reports_cache, "PATIENCE", 20)
    thread, first = aside(held.ask)
    assert held.started.wait(20)
    second = held.ask()
    thread.join()
    assert held.go.is_set()
    assert (held.computations, first[0].hit, second.hit) == (1, False, True)
    assert exactly(second.rows) == exactly(first[0].rows)


def test_waiting_requests_give_up_but_the_claim_lasts_as_long_as_its_owner(book, monkeypatch):
    monkeypatch.setattr(reports_cache, "CLAIM", 0.3)
    monkeypatch.setattr(reports_cache, "PATIENCE", 1.0)
    held = Held()
    thread, first = aside(held.ask)
    assert held.started.wait(20)
    for _ in range(2):
        begin = time.monotonic()
        with pytest.raises(Busy):
            held.ask()
        assert 0.9 < time.monotonic() - begin < 5
    held.go.set()
    thread.join()
    assert (held.computations, first[0].hit, held.ask().hit) == (1, False, True)


def test_the_claim_of_a_killed_process_delays_an_answer_until_it_expires(book):
    key = key_of(year_performance.report, {"year": 2021}, DataStamp.current())
    cache.set(f"{key}:computing", 1, timeout=1)
    begin = time.monotonic()
    assert not year().hit
    assert 0.5 < time.monotonic() - begin < 5
    assert year().hit


def test_the_web_server_has_one_thread_more_than_there_are_seats():
    threads = reports_cache.SEATS + 1
    for name, setting in (
        ("Makefile", f"--blocking-threads {threads} "),
        ("Dockerfile", f"GRANIAN_BLOCKING_THREADS={threads} "),
    ):
        assert setting in (project.BASE_DIR / name).read_text()


def test_requests_are_refused_at_once_while_slow_ones_take_all_seats(book, monkeypatch):
    monkeypatch.setattr(reports_cache, "SEATS", 1)
    held = Held()
    thread, _first = aside(held.ask)
    assert held.started.wait(20)
    time.sleep(reports_cache.QUICK)
    begin = time.monotonic()
    with pytest.raises(Busy):
        year(1999)
    assert time.monotonic() - begin < reports_cache.QUICK / 2
    held.go.set()
    thread.join()
    assert not year(1999).hit


def test_a_busy_server_returns_503_with_retry_after_to_programs_and_people(ask, monkeypatch):
    monkeypatch.setattr(reports_cache, "SEATS", 1)
    monkeypatch.setattr(reports_cache, "QUICK", 0)
    held = Held()
    thread, _first = aside(held.ask)
    assert held.started.wait(20)
    answers = [ask(address) for address in ("/year_performance?year=1999", PAGE, f"{PAGE}&format=csv")]
    held.go.set()
    thread.join()
    assert {(answer.status_code, answer["Retry-After"]) for answer in answers} == {(503, "5")}
    kinds = [answer["Content-Type"].split(";")[0] for answer in answers]
    assert kinds == ["application/problem+json", "text/html", "text/html"]
    assert answers[0].json()["title"] == "Service Unavailable"
    assert "Reload this page" in answers[1].content.decode()


def test_requests_wait_for_a_seat_while_quick_ones_take_all(book, monkeypatch):
    monkeypatch.setattr(reports_cache, "SEATS", 1)
    monkeypatch.setattr(reports_cache, "QUICK", 20)
    held = Held()
    thread, _first = aside(held.ask)
    assert held.started.wait(20)
    other, second = aside(lambda: year(1999))
    other.join(0.2)
    assert second == []
    held.go.set()
    thread.join()
    other.join(20)
    assert not second[0].hit


def test_a_request_gets_a_seat_after_several_quick_ones(monkeypatch):
    monkeypatch.setattr(reports_cache, "SEATS", 1)
    monkeypatch.setattr(reports_cache, "QUICK", 2)
    seats = reports_cache.Seats()

    def sit() -> bool:
        with seats.one():
            time.sleep(1.2)
        return True

    with ThreadPoolExecutor() as pool:
        assert [each.result() for each in [pool.submit(sit) for _ in range(3)]] == [True] * 3
    assert seats.taken == []


def test_a_request_that_waited_takes_an_answer_cached_at_a_newer_stamp(book):
    """It reads the old stamp; then the book is written, and another request caches the new answer."""
    old = Question(year_performance.report, {"year": 2021})
    pay("5")
    new = year()
    answer = old.answer()
    assert (answer.rows, answer.key) == (new.rows, new.key)


def test_a_failed_computation_leaves_no_claim(book):
    def fail(**params):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        get_or_compute(replace(year_performance.report, compute=fail), {"year": 2021})
    begin = time.monotonic()
    assert not year().hit
    assert time.monotonic() - begin < reports_cache.CLAIM / 2


# A broken cache


def keys() -> list[str]:
    """Returns the keys of the rows of 2021 and of their JSON."""
    return [year().key, f"{year().key}:json::"]


GARBAGE = [123, "text", "", "null", "{}", "[[1]]", '[["2021-06", 1, 2]]', {"a": 1}, [], True]


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_in_a_cache_entry_is_ignored(ask, garbage):
    expected = ask("/year_performance?year=2021").json()
    for name in keys():
        cache.set(name, garbage)
    response = ask("/year_performance?year=2021")
    assert (response.status_code, response["X-Cache"], response.json()) == (200, "miss", expected)


@only_redis
@pytest.mark.parametrize("garbage", [b"\x00\xff", b"12", b"{", b""], ids=repr)
def test_unexpected_bytes_in_redis_are_ignored(ask, garbage):
    expected = ask("/year_performance?year=2021").json()
    for name in keys():
        cache.client.get_client().set(cache.make_key(name), garbage)
    response = ask("/year_performance?year=2021")
    assert (response.status_code, response["X-Cache"], response.json()) == (200, "miss", expected)


@only_redis
def test_another_redis_type_under_the_key_is_ignored(ask):
    expected = ask("/year_performance?year=2021").json()
    for name in map(cache.make_key, keys()):
        assert cache.client.get_client().delete(name)
        cache.client.get_client().lpush(name, "an element")
    response = ask("/year_performance?year=2021")
    assert (response.status_code, response["X-Cache"], response.json()) == (200, "miss", expected)


def test_an_emptied_cache_costs_one_computation(ask):
    first = ask("/year_performance?year=2021")
    cache.clear()
    seen = [ask("/year_performance?year=2021") for _number in range(2)]
    assert [response["X-Cache"] for response in seen] == ["miss", "hit"]
    assert [response.json() for response in seen] == [first.json()] * 2


@pytest.fixture
def own_redis(settings):
    """Starts a private Redis, which the test may kill, with the options of the settings."""
    with services.redis() as server:
        settings.CACHES = {"default": project.CACHES["default"] | {"LOCATION": server.url}}
        yield server
        cache.client.get_client().connection_pool.disconnect()


FAULTS = {
    "killed": signal.SIGKILL,
    "paused": signal.SIGSTOP,  # still accepts connections, but never responds
}


@only_redis
@pytest.mark.parametrize("warm", [True, False], ids=["connected before", "not connected before"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_without_redis_responses_are_correct_within_two_seconds(book, own_redis, fault, warm, caplog):
    if warm:
        assert [year().hit, year().hit] == [False, True]
    os.kill(own_redis.pid, fault)
    if fault == signal.SIGKILL:
        own_redis.process.wait()
    for paid in (Decimal("1012.30"), Decimal("1017.30")):
        pay("5")
        begin = time.monotonic()
        answer = year()
        assert time.monotonic() - begin < 2
        assert (collected(answer), answer.hit) == (paid, False)
    assert "The cache fails" in caplog.text


@only_redis
def test_redis_is_used_again_after_an_outage(book, own_redis):
    year()
    os.kill(own_redis.pid, signal.SIGKILL)
    own_redis.process.wait()
    pay("5")
    assert collected(year()) == Decimal("1012.30")
    own_redis.start()
    assert [year().hit, year().hit] == [False, True]
    os.kill(own_redis.pid, signal.SIGSTOP)
    pay("5")
    assert collected(year()) == Decimal("1017.30")
    os.kill(own_redis.pid, signal.SIGCONT)
    answers = [year(), year(), year()]
    assert [collected(answer) for answer in answers] == [Decimal("1017.30")] * 3
    assert answers[2].hit


# Two processes

OTHER_PROCESS = """
import sys
import django
django.setup()
from django.core.cache import cache
from reports import year_performance
from reports.cache import get_or_compute
from tests import builders, test_cache
print(type(cache._connections[cache._alias]).__name__, flush=True)
for line in sys.stdin:
    if amount := line.strip():
        test_cache.pay(amount)
    answer = test_cache.year()
    print(test_cache.collected(answer), answer.hit, flush=True)
"""


@pytest.fixture
def other_process(book):
    """tell("5") pays 5 and requests the report; tell("") only requests it. Returns "sum collected, hit"."""
    database = connection.settings_dict
    address = database["NAME"]
    if MYSQL:
        account = "{USER}:{PASSWORD}@{HOST}:{PORT}".format(**database)
        url = f"mysql://{account}/{address}"
    else:
        url = f"sqlite:///{address}"
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS],
        cwd=project.BASE_DIR,
        env=environment | {"DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def tell(line: str) -> str:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    with process:
        process.stdout.readline()
        yield tell
        process.stdin.close()
        assert process.wait(20) == 0


def test_two_processes_with_local_caches_never_return_stale_figures(book, other_process):
    def here() -> str:
        answer = year()
        return f"{collected(answer)} {answer.hit}"

    assert [other_process(""), other_process(""), here(), here()] == [
        "1007.30 False",
        "1007.30 True",
        "1007.30 False",
        "1007.30 True",
    ]
    pay("5")
    assert [other_process(""), other_process(""), here()] == [
        "1012.30 False",
        "1012.30 True",
        "1012.30 False",
    ]
    assert [other_process("0.10"), here(), here()] == ["1012.40 False", "1012.40 False", "1012.40 True"]
    Payment.objects.update(sum=Decimal("0.01"))
    assert [other_process(""), here()] == ["0.05 False"] * 2
