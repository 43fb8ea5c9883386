"""What all reports share: one API, one page, one way to download."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.generic import TemplateView, View
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fintrack.access import MayReadBook
from fintrack.api import Refused

from .cache import get_or_compute
from .downloads import DOWNLOADS
from .report import Report, ReportParams


class ReportView:
    """From a form to an answer: shown as the view shows it, or downloaded."""

    report: Report = None  # type: ignore[assignment]  # of each route
    etag = True  # what is shown depends on the rows alone

    def respond(self, request: Any, form: ReportParams) -> HttpResponseBase:
        """Raise Refused, and what computing raises."""
        params = form.checked()
        kind = params.pop("format")
        answer = get_or_compute(self.report, params)
        etag = None
        if answer.key and (kind or self.etag):
            etag = f'"{hashlib.sha256(f"{answer.key} {kind}".encode()).hexdigest()[:32]}"'
        response: HttpResponseBase | None = get_conditional_response(request, etag=etag)
        if response is None and kind:
            response = DOWNLOADS[kind](self.report, answer.rows, params)
        elif response is None:
            response = self.shown(request, form, answer.rows)
        if etag:
            response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        response["X-Cache"] = "hit" if answer.hit else "miss"
        patch_vary_headers(response, ["Authorization", "Cookie"])
        return response

    def shown(self, request: Any, form: ReportParams, rows: list[Any]) -> HttpResponseBase:
        raise NotImplementedError


class ReportAPI(ReportView, APIView):
    def get(self, request: Request, **path: Any) -> HttpResponseBase:
        data = request.query_params.copy()
        data.update(path)
        return self.respond(request, self.report.params(data))

    def shown(self, request: Request, form: ReportParams, rows: list[Any]) -> Response:
        return Response([asdict(row) for row in rows])


class ReportPage(PermissionRequiredMixin, ReportView, View):
    permission_required = MayReadBook.permissions
    etag = False  # a page also shows whose it is

    def get(self, request: HttpRequest) -> HttpResponseBase:
        form = self.report.params(request.GET or None)
        if not form.is_bound:
            return self.page(request, form)
        try:
            return self.respond(request, form)
        except Refused as refused:
            if form.is_valid():
                for error in refused.errors:
                    form.add_error(None, error["expected"])
            return self.page(request, form, status=refused.status_code)

    def shown(self, request: HttpRequest, form: ReportParams, rows: list[Any]) -> HttpResponse:
        return self.page(request, form, rows=rows, totals=self.report.totals(rows))

    def page(self, request: HttpRequest, form: ReportParams, status: int = 200, **shown: Any) -> HttpResponse:
        context = {"report": self.report, "form": form, "downloads": list(DOWNLOADS), **shown}
        return render(request, f"reports/{self.report.name}.html", context, status=status)


class Home(PermissionRequiredMixin, TemplateView):
    """The way to every report."""

    template_name = "home.html"
    permission_required = MayReadBook.permissions
    pages: Sequence[Any] = ()  # their routes

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        reports = [
            {
                "report": (report := page.callback.view_initkwargs["report"]),
                "form": report.params(),
                "url": reverse(page.name),
            }
            for page in self.pages
        ]
        return super().get_context_data(reports=reports, **kwargs)
