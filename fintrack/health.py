"""Is the process alive, and can it answer? For load balancers and orchestrators, without sign-in."""

from collections.abc import Callable

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@login_not_required
@never_cache
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """503 where the database can't answer or isn't migrated. Without the cache all is slower, not wrong."""
    checks = {
        "database": state(check_database),
        "migrations": state(check_migrations),
        "cache": state(check_cache),
    }
    ready = checks["database"] == checks["migrations"] == "ok"
    return JsonResponse(checks, status=200 if ready else 503)


def state(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception:  # whatever a driver raises; its text may name hosts and accounts
        return "failed"
    return "ok"


def check_database() -> None:
    with connection.cursor() as cursor:  # a connection that is kept may have died
        cursor.execute("SELECT 1")


def check_migrations() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise RuntimeError("There are migrations to apply.")


def check_cache() -> None:
    cache.set("readyz", "ok", timeout=10)
    if cache.get("readyz") != "ok":
        raise RuntimeError("The cache forgets.")
