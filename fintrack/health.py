"""Health checks for load balancers and orchestrators, which need no sign-in."""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from .api.problems import problem_response


def for_machines(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Decorates a view that needs no sign-in and isn't cached. Methods except GET and HEAD return a 405."""

    @csrf_exempt
    @login_not_required
    @never_cache
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return problem_response(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, HEAD")
        return view(request)

    return answer


@for_machines
def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@for_machines
def readyz(request: HttpRequest) -> JsonResponse:
    """Returns 503 if the database fails or isn't migrated. Without the cache FinTrack works, only slower."""
    checks = {
        "database": outcome(check_database),
        "migrations": outcome(check_migrations),
        "cache": outcome(check_cache),
    }
    ready = checks["database"] == checks["migrations"] == "ok"
    return JsonResponse(checks, status=200 if ready else 503)


def outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception:  # drivers raise errors of many types; their texts may name hosts and accounts
        return "failed"
    return "ok"


def check_database() -> None:
    with connection.cursor() as cursor:  # a persistent connection may be broken
        cursor.execute("SELECT 1")


def check_migrations() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError("There are migrations to apply.")


def check_cache() -> None:
    cache.set("readyz", "ok", timeout=10)
    if cache.get("readyz") != "ok":
        raise RuntimeError("The cache lost a value.")
