"""The views of all reports (the API, the page and the downloads), and the page of all listings."""

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import asdict
from datetime import date
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.gzip import re_accepts_gzip
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.generic import View
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from fintrack.access import MayReadBook
from fintrack.api.problems import Busy, Refused, is_retryable, of_api
from fintrack.api.tags import unpadded_gzip

from .cache import TRIES, Answer, Question, get_or_compute, is_current, stamp_held
from .downloads import DOWNLOADS, TYPES, csv_download
from .listing import Listing
from .models import Note
from .params import CSV, JSON, XLSX, ReportParams
from .report import Report
from .schema import ReportSchema
from .stretch import last_day_of_book


class ReportView:
    """The base of a report's views."""

    report: Report = None  # type: ignore[assignment]  # each route sets it

    def send(self, request: Any, params: dict[str, Any], kind: str) -> HttpResponseBase:
        """Returns the answer as JSON or as a file, from cached bytes if there are any.

        A 304 needs only the key. Raises Refused, Busy, and the errors of the report's compute().
        """
        question = Question(self.report, params)
        tag = tag_of(question.key, kind)
        if tag and tag.strip('"') in request.headers.get("If-None-Match", ""):
            unchanged = get_conditional_response(request, etag=tag)
            if unchanged is not None:
                return finished(request, unchanged, tag, hit=True)
        packed = "gzip" if re_accepts_gzip.search(request.headers.get("Accept-Encoding", "")) else ""
        name = f"{kind}:{language_of(kind)}:{packed}"
        if text := question.form(name):
            headers, content = json.loads(text)
            response, hit = HttpResponse(b64decode(content), headers=headers), True
        else:
            answer = question.answer()
            response, hit = self.make_response(request, params, kind, answer), answer.hit
            content = b64encode(response.content).decode()
            question.keep(name, json.dumps([dict(response.items()), content]), answer.key)
            tag = tag_of(answer.key, kind)
        sent = get_conditional_response(request, etag=tag, response=response) or response
        return finished(request, sent, tag, hit)

    def make_response(self, request: Any, params: dict[str, Any], kind: str, answer: Answer) -> HttpResponse:
        """Makes the response, compressed if the client accepts gzip.

        Compression is safe: the response has no secret of its reader.
        """
        if kind == JSON:
            rows = JSONRenderer().render([asdict(row) for row in answer.rows])
            response = HttpResponse(rows, content_type=JSONRenderer.media_type)
        else:
            file = DOWNLOADS[kind](self.report, answer.rows, params)
            response = HttpResponse(file.getvalue(), headers=dict(file.items()))
        unpadded_gzip(request, response)
        return response


def tag_of(key: str | None, kind: str) -> str | None:
    """Returns the ETag of one form of the answer. It is a digest, since clients must not know the key."""
    if key is None:
        return None
    return f'"{hashlib.sha256(f"{key} {kind} {language_of(kind)}".encode()).hexdigest()[:32]}"'


def language_of(kind: str) -> str:
    """Returns the language that this form of an answer depends on: JSON and CSV are the same in all."""
    return get_language() if kind == XLSX else ""


def finished(request: Any, response: HttpResponseBase, tag: str | None, hit: bool) -> HttpResponseBase:
    if response.status_code == HTTPStatus.PRECONDITION_FAILED:
        response = of_api(request, HTTPStatus.PRECONDITION_FAILED) or response
    elif tag:
        response["ETag"] = f"W/{tag}" if response.has_header("Content-Encoding") else tag
    return with_report_headers(response, hit)


def with_report_headers(response: HttpResponseBase, hit: bool) -> HttpResponseBase:
    """Adds the headers that every response with figures has."""
    response["Cache-Control"] = "private, no-cache"
    response["X-Cache"] = "hit" if hit else "miss"
    patch_vary_headers(response, ["Authorization", "Cookie"])
    return response


class CSVRenderer(BaseRenderer):
    """Names CSV for content negotiation. DOWNLOADS makes the file, for pages too."""

    media_type, format = TYPES[CSV], CSV


class XLSXRenderer(BaseRenderer):
    media_type, format = TYPES[XLSX], XLSX


class ReportAPI(ReportView, APIView):
    renderer_classes = [JSONRenderer, CSVRenderer, XLSXRenderer]
    schema = ReportSchema()

    def get(self, request: Request, **path: Any) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        kind = request.accepted_renderer.format
        params = dict(checked(self.report.params, query, tuple(path.items()), kind, timezone.localdate()))
        return self.send(request, params, params.pop("format"))

    def form(self, data: Any) -> ReportParams:
        return strict(self.report.params, data)


@lru_cache(maxsize=1000)
def checked(
    form: type[ReportParams], query: str, path: tuple[tuple[str, str], ...], kind: str, today: date
) -> dict[str, Any]:
    """Returns the cleaned parameters of a request, cached because clients often repeat a question.

    today is an argument because some forms add it to the parameters. Raises Refused.
    """
    data = QueryDict(query.encode("latin-1"), mutable=True)  # WSGI's text is bytes
    data.update(dict(path))
    data.setdefault("format", kind)
    return strict(form, data).checked()


def strict(form: type[ReportParams], data: Any) -> ReportParams:
    """Returns the form with the stricter rules for programs, and with every format."""
    made = form(data)
    made.strict = True
    kinds = [JSON, *DOWNLOADS]
    made.fields["format"] = forms.ChoiceField(
        choices=[(kind, kind) for kind in kinds], help_text=_("json, csv or xlsx")
    )
    return made


class Page(PermissionRequiredMixin, View):
    permission_required = MayReadBook.permissions


def busy_page(request: HttpRequest) -> HttpResponse:
    response = render(request, "503.html", status=Busy.status_code)
    response["Retry-After"] = str(Busy.wait)
    return response


class ReportPage(ReportView, Page):
    def get(self, request: HttpRequest, **path: Any) -> HttpResponseBase:
        data = request.GET.copy()
        data.update({name: str(value) for name, value in path.items()})
        form = self.report.params.of_page(data)
        try:
            params = form.checked()
            kind = params.pop("format")
            return self.send(request, params, kind) if kind else self.respond(request, form, params)
        except Refused as refused:
            if form.is_valid():
                for error in refused.errors:
                    form.add_error(None, error["expected"])
            return self.render_page(request, form, status=refused.status_code)
        except Busy:
            return busy_page(request)

    def respond(self, request: HttpRequest, form: ReportParams, params: dict[str, Any]) -> HttpResponseBase:
        """Returns the page. It has no ETag, since it also shows the reader's name."""
        question = Question(self.report, params)
        name = f"page:{get_language()}:{timezone.localdate()}"  # today may be in page_context()
        if text := question.form(name):
            pieces = json.loads(text)
            form.show(pieces["until"])
            return with_report_headers(self.render_page(request, form, pieces=pieces), hit=True)
        answer = question.answer()
        # All figures on a page must come from one state of the book.
        for _try in range(TRIES):
            beside = self.beside(answer, params)
            if is_current(answer, self.report, params):
                break
            answer = get_or_compute(self.report, params)
        else:
            with stamp_held():
                answer = get_or_compute(self.report, params)
                beside = self.beside(answer, params)
        pieces = {"until": str(beside.get("until", ""))}
        form.show(pieces["until"])
        shown = {"rows": answer.rows, "totals": self.report.totals(answer.rows), **beside}
        # Read only where charts ask for them, and after the stamp: what is kept is never older than it.
        shown["notes"] = Note.objects.all()
        response = self.render_page(request, form, pieces=pieces, **shown)
        question.keep(name, json.dumps(pieces), answer.key)
        return with_report_headers(response, answer.hit)

    def beside(self, answer: Answer, params: dict[str, Any]) -> dict[str, Any]:
        """Returns what a page shows beside the rows. A print names the state of the book."""
        return {
            "last_day": last_day_of_book(timezone.localdate()),
            "stamp": answer.stamp,
            **self.report.page_context(answer.rows, **params),
        }

    def render_page(
        self, request: HttpRequest, form: ReportParams, status: int = 200, **context: Any
    ) -> HttpResponse:
        context |= {"report": self.report, "form": form, "downloads": list(DOWNLOADS), **self.report.latest()}
        return render(request, f"reports/{self.report.name}.html", context, status=status)


class ListingPage(Page):
    """A page of a listing, or all its rows as CSV."""

    listing: Listing = None  # type: ignore[assignment]  # each route sets it

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = self.listing.params.of_page(request.GET)
        context: dict[str, Any] = {"listing": self.listing, "form": form}
        template = f"reports/{self.listing.name}.html"
        try:
            params = form.checked()
        except Refused as refused:
            return render(request, template, context, status=refused.status_code)
        kind, cursor = params.pop("format"), params.pop("cursor")
        try:
            if kind:
                filters = {name: value for name, value in params.items() if value not in (None, "", [])}
                every = self.listing.every_row(params)
                response: HttpResponseBase = csv_download(self.listing, every, filters)
            else:
                context |= self.listing.page(cursor, params, form.narrows())
                response = render(request, template, context)
        except OperationalError as error:  # to prepare a list may take a lock that a load holds
            if not is_retryable(error):
                raise
            response = busy_page(request)
        response["Cache-Control"] = "private, no-cache"
        return response


class UserCreditsPage(Page):
    """Leads from the address of an earlier page to the borrower's or, without an id, to all borrowers."""

    def get(self, request: HttpRequest) -> HttpResponse:
        user_id = request.GET.get("user_id", "")
        is_id = user_id.isascii() and user_id.isdecimal()
        return redirect("borrower_page", user_id) if is_id else redirect("borrowers_page")
