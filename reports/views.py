"""What all reports share: the answer of the API."""

from dataclasses import asdict
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fintrack.api import checked

from .report import Report


class ReportAPI(APIView):
    report: Report = None  # type: ignore[assignment]  # of each route

    def get(self, request: Request, **path: Any) -> Response:
        params = checked(self.report.params, request.query_params, path)
        rows = [asdict(row) for row in self.report.compute(**params)]
        return Response(rows, headers={"Cache-Control": "private, no-cache"})
