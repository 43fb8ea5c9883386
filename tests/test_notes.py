"""Notes on days: under every chart that covers the day, at once, and in the admin."""

import re
from datetime import date
from threading import Thread

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fintrack.access import ANALYST
from reports.models import DataStamp, Note

from . import builders

pytestmark = pytest.mark.django_db


def note(day: str, text: str = "Tariff changed") -> Note:
    return Note.objects.create(day=date.fromisoformat(day), text=text)


def notes_of(html: str) -> list[list[str]]:
    """Returns the notes under each chart."""
    return [
        re.findall(r"<li>([^<]+)</li>", each) for each in re.findall(r'<ol class="notes".*?</ol>', html, re.S)
    ]


def flags_of(html: str) -> list[str]:
    """Returns the numbers at the marks of the notes."""
    return re.findall(r'<line class="flag"[^>]*></line>\s*<text[^>]*>([^<]*)</text>', html)


@pytest.fixture
def book() -> None:
    """June and July 2021, with a plan, a credit and a payment in each."""
    for month in ("2021-06", "2021-07"):
        builders.plan(month, 3, 1000)
        builders.plan(month, 4, 1000)
        builders.payment(builders.credit(f"{month}-01"), f"{month}-20", 250)


@pytest.mark.parametrize(
    ("address", "charts"),
    [
        ("year-performance/?year=2021", 2),
        ("year-on-year/?year=2021", 2),
        ("month/?month=2021-06", 2),
        ("plans-performance/?check_date=2021-07-31", 1),
        ("portfolio-trend/?check_date=2021-07-31", 2),
        ("ageing/?check_date=2021-07-31", 2),
        ("collection-efficiency/?check_date=2021-12-31", 2),
        ("first-payment-default/?check_date=2021-12-31", 2),
        ("new-and-returning/?check_date=2021-07-31", 2),
        ("forecast/?check_date=2021-07-31", 2),
        ("vintages/?check_date=2021-07-31", 0),  # its charts are by age
    ],
)
def test_every_chart_that_covers_the_day_shows_the_note(book, analyst, address, charts):
    note("2021-05-31", "Before")
    note("2021-06-15", "Tariff <b>changed</b>")
    html = analyst.get(f"/reports/{address}").content.decode()
    assert '<svg viewBox="0 -' in html
    assert notes_of(html) == [["2021-06-15: Tariff &lt;b&gt;changed&lt;/b&gt;"]] * charts
    assert flags_of(html) == ["1"] * charts


def test_notes_of_one_month_share_a_mark_and_are_numbered_by_day(book, analyst):
    for day in ("2021-07-31", "2021-06-30", "2021-06-01"):
        note(day, "Something")
    html = analyst.get("/reports/year-performance/?year=2021").content.decode()
    days = ["2021-06-01: Something", "2021-06-30: Something", "2021-07-31: Something"]
    assert notes_of(html) == [days, days]
    assert flags_of(html) == ["1–2", "3"] * 2


def test_numbers_that_would_collide_are_left_out(book, analyst):
    for day in (1, 2, 3, 4):
        note(f"2021-06-0{day}")
    html = analyst.get("/reports/month/?month=2021-06").content.decode()
    # Days are 18 apart and a number is 12 wide: all fit. "3–4" is 36 wide.
    assert flags_of(html) == ["1", "2", "3", "4"] * 2
    note("2021-06-03")
    html = analyst.get("/reports/month/?month=2021-06").content.decode()
    assert flags_of(html) == ["1", "2", "", "5"] * 2


def test_notes_take_one_query_of_a_page_with_charts(book, analyst):
    def queries(address: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert analyst.get(address).status_code == 200
        return [query["sql"] for query in asked if "reports_note" in query["sql"]]

    assert len(queries("/reports/year-performance/?year=2021")) == 1
    assert queries("/reports/top-borrowers/") == []


def page(client: Client) -> str:
    return client.get("/reports/year-performance/?year=2021").content.decode()


def signed_in() -> Client:
    client = Client()
    client.force_login(builders.account(ANALYST))
    return client


def test_a_cached_page_shows_new_changed_and_deleted_notes_at_once(committed):
    builders.plan("2021-06", 3, 1000)
    client = signed_in()
    assert notes_of(page(client)) == []
    one = note("2021-06-15")
    assert notes_of(page(client)) == [["2021-06-15: Tariff changed"]] * 2
    one.text = "Tariff lowered"
    one.save()
    assert notes_of(page(client)) == [["2021-06-15: Tariff lowered"]] * 2
    assert client.get("/reports/year-performance/?year=2021")["X-Cache"] == "hit"
    Note.objects.all().delete()
    assert notes_of(page(client)) == []


def test_the_stamp_is_renewed_in_the_transaction_of_the_note(committed):
    builders.plan("2021-06", 3, 1000)
    client = signed_in()
    before = DataStamp.current()
    with transaction.atomic():
        note("2021-06-15")
        assert DataStamp.current() != before
        transaction.set_rollback(True)
    assert (DataStamp.current(), Note.objects.count()) == (before, 0)
    assert notes_of(page(client)) == []


def test_a_reader_during_the_transaction_leaves_no_page_without_the_note(committed):
    builders.plan("2021-06", 3, 1000)
    client, seen = signed_in(), []

    def read() -> None:
        seen.append(notes_of(page(client)))
        connection.close()

    with transaction.atomic():
        note("2021-06-15")
        reader = Thread(target=read)
        reader.start()
        reader.join()
    assert seen == [[]]
    assert notes_of(page(client)) == [["2021-06-15: Tariff changed"]] * 2


def test_a_note_whose_stamp_cannot_be_renewed_is_not_stored(committed):
    DataStamp.objects.all().delete()
    with pytest.raises(RuntimeError):
        note("2021-06-15")
    assert Note.objects.count() == 0


def test_editors_add_and_change_notes_and_administrators_delete_them(editor, administrator):
    form = {"day": "2021-06-15", "text": "Tariff changed"}
    assert editor.post("/admin/reports/note/add/", form, format="multipart").status_code == 302
    one = Note.objects.get()
    assert (one.day, one.text) == (date(2021, 6, 15), "Tariff changed")
    address = f"/admin/reports/note/{one.pk}"
    form["text"] = "Tariff lowered"
    assert editor.post(f"{address}/change/", form, format="multipart").status_code == 302
    assert Note.objects.get().text == "Tariff lowered"
    assert "Changed Text." in editor.get(f"{address}/history/").content.decode()
    assert editor.post(f"{address}/delete/", {"post": "yes"}, format="multipart").status_code == 403
    assert administrator.post(f"{address}/delete/", {"post": "yes"}, format="multipart").status_code == 302
    assert not Note.objects.exists()
