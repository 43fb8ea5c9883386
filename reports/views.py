"""What all reports share: one API, one page, one way to download; and the page of all listings."""

import hashlib
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.generic import View
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits.book.reading import in_batches, snapshot
from fintrack.access import MayReadBook
from fintrack.api.problems import Refused, of_api

from .cache import TRIES, Answer, get_or_compute, is_current, stamp_held
from .downloads import DOWNLOADS, TYPES, csv_download
from .listing import Listing
from .params import CSV, JSON, XLSX, ReportParams
from .report import Report
from .schema import ReportSchema


class ReportView:
    """From a form to an answer: shown as the view shows it, or downloaded."""

    report: Report = None  # type: ignore[assignment]  # of each route
    etag = True  # what is shown depends on the rows alone

    def respond(self, request: Any, form: ReportParams) -> HttpResponseBase:
        """Raises Refused, and what computing raises."""
        params = form.checked()
        kind = params.pop("format")
        kind = kind if kind in DOWNLOADS else ""
        answer = get_or_compute(self.report, params)
        etag = None
        if answer.key and (kind or self.etag):
            etag = f'"{hashlib.sha256(f"{answer.key} {kind}".encode()).hexdigest()[:32]}"'
        response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
        if response is not None and response.status_code == HTTPStatus.PRECONDITION_FAILED:
            response = of_api(request, HTTPStatus.PRECONDITION_FAILED) or response
        if response is None and kind:
            response = DOWNLOADS[kind](self.report, answer.rows, params)
        elif response is None:
            response = self.render_answer(request, form, params, answer)
        if etag and response.status_code < 400:
            response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        response["X-Cache"] = "hit" if answer.hit else "miss"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response

    def render_answer(
        self, request: Any, form: ReportParams, params: dict[str, Any], answer: Answer
    ) -> HttpResponseBase:
        raise NotImplementedError


class CSVRenderer(BaseRenderer):
    """Lets a client ask for it by Accept; the download itself is written once, for pages too."""

    media_type, format = TYPES[CSV], CSV


class XLSXRenderer(BaseRenderer):
    media_type, format = TYPES[XLSX], XLSX


class ReportAPI(ReportView, APIView):
    renderer_classes = [JSONRenderer, CSVRenderer, XLSXRenderer]
    schema = ReportSchema()

    def get(self, request: Request, **path: Any) -> HttpResponseBase:
        data = request.query_params.copy()
        data.update(path)
        data.setdefault("format", request.accepted_renderer.format)
        return self.respond(request, self.form(data))

    def form(self, data: Any) -> ReportParams:
        form = self.report.params(data)
        form.strict = True
        kinds = [JSON, *DOWNLOADS]
        form.fields["format"] = forms.ChoiceField(
            choices=[(kind, kind) for kind in kinds], help_text="json, csv or xlsx"
        )
        return form

    def render_answer(
        self, request: Request, form: ReportParams, params: dict[str, Any], answer: Answer
    ) -> Response:
        # `?format=json` counts for more than what Accept says.
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return Response([asdict(row) for row in answer.rows])


class Page(PermissionRequiredMixin, View):
    permission_required = MayReadBook.permissions


class ReportPage(ReportView, Page):
    etag = False  # a page also shows whose it is
    asks = True  # without parameters it asks for them, rather than answer for none

    def get(self, request: HttpRequest, **path: Any) -> HttpResponseBase:
        data = request.GET.copy()
        data.update({name: str(value) for name, value in path.items()})
        form = self.report.params(data if data or not self.asks else None)
        if not form.is_bound:
            return self.render_page(request, form)
        try:
            return self.respond(request, form)
        except Refused as refused:
            if form.is_valid():
                for error in refused.errors:
                    form.add_error(None, error["expected"])
            return self.render_page(request, form, status=refused.status_code)

    def render_answer(
        self, request: HttpRequest, form: ReportParams, params: dict[str, Any], answer: Answer
    ) -> HttpResponse:
        # What is shown together belongs to one state of the book.
        for _try in range(TRIES):
            beside = self.report.page_context(answer.rows, **params)
            if is_current(answer, self.report, params):
                break
            answer = get_or_compute(self.report, params)
        else:
            with stamp_held():
                answer = get_or_compute(self.report, params)
                beside = self.report.page_context(answer.rows, **params)
        return self.render_page(
            request, form, rows=answer.rows, totals=self.report.totals(answer.rows), **beside
        )

    def render_page(
        self, request: HttpRequest, form: ReportParams, status: int = 200, **context: Any
    ) -> HttpResponse:
        context = {"report": self.report, "form": form, "downloads": list(DOWNLOADS), **context}
        return render(request, f"reports/{self.report.name}.html", context, status=status)


class ListingPage(Page):
    """A page of a listing, or all of it as CSV."""

    listing: Listing = None  # type: ignore[assignment]  # of each route

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = self.listing.params(request.GET)
        context: dict[str, Any] = {"listing": self.listing, "form": form}
        template = f"reports/{self.listing.name}.html"
        try:
            params = form.checked()
        except Refused as refused:
            return render(request, template, context, status=refused.status_code)
        kind, number = params.pop("format"), params.pop("page") or 1
        found = self.listing.find(**params)
        if kind:
            filters = {name: value for name, value in params.items() if value}
            every = self.listing.rows(in_batches(found), params)
            response: HttpResponseBase = csv_download(self.listing, every, filters)
        else:
            with snapshot():  # the total is that of the rows shown
                rows, more = self.listing.page(found, number, params)
                context |= {"rows": rows, "more": more, "number": number, "today": params["today"]}
                if form.narrows():
                    context["total"] = self.listing.total(found)
            response = render(request, template, context)
        response["Cache-Control"] = "private, no-cache"
        return response
