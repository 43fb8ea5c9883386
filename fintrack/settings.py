"""Settings of FinTrack. Values come from the environment; the defaults work for development.

"Settings" in the README lists the variables.
"""

import os
import secrets
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import environ
from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"  # files made at run time: the database, the secret key, static files
VAR_DIR.mkdir(mode=0o700, exist_ok=True)  # private: it holds the database

env = environ.Env()
env.ENVIRON = {name: value for name, value in os.environ.items() if value.strip()}  # empty is not set


def switch(name: str) -> bool:
    """Reads a variable that is on or off. The default is off."""
    value = env.str(name, default="off").strip().lower()
    if value not in ("on", "true", "yes", "1", "off", "false", "no", "0"):
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in ("on", "true", "yes", "1")


def secret_key_file(path: Path) -> str:
    """Returns the key in the file. Creates the file, readable only by its owner, if there is none."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(60))
        try:
            os.link(draft, path)  # atomic: another process that starts now never reads half a key
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


DEBUG = switch("DEBUG")
SECRET_KEY = env.str("SECRET_KEY", default="") or secret_key_file(VAR_DIR / "secret_key")
ALLOWED_HOSTS = env.str("ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]").replace(" ", "").split(",")
HTTPS = switch("HTTPS")
try:
    TRUSTED_PROXIES = [ip_network(each.strip()) for each in env.list("TRUSTED_PROXIES", default=[])]
except ValueError as error:
    raise ImproperlyConfigured(
        f"TRUSTED_PROXIES must be addresses or networks, such as 127.0.0.1,172.16.0.0/12: {error}."
    ) from None

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "fintrack.apps.StaffConfig",  # django.contrib.admin
    "axes",
    "corsheaders",
    "csp",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "knox",
    "rest_framework",
    "credits",
    "plans",
    "reports",
    "fintrack",
]

MIDDLEWARE = [
    "fintrack.logs.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "fintrack.api.tags.GZip",  # random padding hides the length of a page (BREACH)
    "fintrack.access.Policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "fintrack.access.limit_body",  # before any that reads the body
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "fintrack.access.SignedIn",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "fintrack.trail.trail_middleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "fintrack.urls"
WSGI_APPLICATION = "fintrack.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Database

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

database = DATABASES["default"]
engine = database.get("ENGINE")
if engine == "django.db.backends.sqlite3":
    # Take the write lock when the transaction begins: SQLite can wait for it then, but not later.
    database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL",
    }
elif engine == "django.db.backends.mysql":
    database["OPTIONS"] = {
        "charset": "utf8mb4",
        "init_command": "SET sql_mode='TRADITIONAL'",  # reject values that don't fit instead of changing them
    } | database.get("OPTIONS", {})
    database["CONN_MAX_AGE"] = 60
    database["CONN_HEALTH_CHECKS"] = True
else:
    raise ImproperlyConfigured("DATABASE_URL must begin with mysql:// or sqlite:///.")

# Cache

if REDIS_URL := env.str("REDIS_URL", default=""):
    if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "fintrack",
            "OPTIONS": {
                "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
                "SOCKET_CONNECT_TIMEOUT": 0.5,
                "SOCKET_TIMEOUT": 0.5,
            },
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# Access

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_ENGINE = "fintrack.identity"
SESSION_COOKIE_AGE = 12 * 60 * 60  # a working day
MAX_BODY = 12 * 2**20  # bytes of a request's body

# After too many wrong passwords for one name from one address, sign-in is locked for that pair.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "fintrack.identity.Backend",
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "fintrack.sign_in.locked_out"
AXES_CLIENT_IP_CALLABLE = "fintrack.access.client_address"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

REST_FRAMEWORK = {
    # The first names the scheme in WWW-Authenticate.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "fintrack.access.TokenAuthentication",
        "fintrack.access.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["fintrack.access.MayReadBook"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fintrack.api.negotiation.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "fintrack.api.schema.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["fintrack.api.throttles.Accounts"],
    "DEFAULT_THROTTLE_RATES": {
        "account": env.str("API_RATE", default="6000/min"),
        "stranger": "60/min",  # for each address: requests without a valid token
        "sign_in": "20/min",  # for each address, successes included: an office may share one
        "own_password": "20/hour",  # for each account
    },
    "EXCEPTION_HANDLER": "fintrack.api.problems.problem",
    "URL_FORMAT_OVERRIDE": None,
    # Money is a number; dates are yyyy-mm-dd.
    "COERCE_DECIMAL_TO_STRING": False,
    "DATE_INPUT_FORMATS": ["%Y-%m-%d"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FinTrack",
    "DESCRIPTION": (
        "Reports on a micro-lender's book, and the book itself. Money and percentages are JSON numbers with "
        "at most two decimals. Errors are problem details (RFC 9457) that list every fault."
    ),
    "VERSION": "1",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["fintrack.api.schema.describe_problems"],
}
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
# The addresses of the API: they allow CORS, and their errors are JSON problems.
CORS_URLS_REGEX = r"^/(api(?!/docs/)|year_performance|plans_performance|user_credits|plans_insert)(/|$)"
CORS_ALLOW_HEADERS = [*default_headers, "idempotency-key", "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = ["ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-ID"]
REST_KNOX = {"TOKEN_TTL": timedelta(days=365), "AUTH_HEADER_PREFIX": "Token"}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"

if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]  # health checks use plain HTTP from inside
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    LANGUAGE_COOKIE_SECURE = True

# Import and export in the admin

IMPORT_EXPORT_SKIP_ADMIN_LOG = True  # the trail records imports

# Logs: JSON, one line for each request

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"no_traceback": {"()": "fintrack.logs.NoTraceback"}},
    "formatters": {"json": {"()": "fintrack.logs.JSONFormatter"}},
    "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["lines"], "level": "INFO"},
    "loggers": {
        "axes": {"level": "WARNING"},
        "django": {"handlers": [], "level": "INFO"},
        # Client errors (4xx) are already in the request's own line.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"filters": ["no_traceback"]},
        "django.server": {"handlers": [], "level": "ERROR", "propagate": True},
    },
}

# Language, money and time

LANGUAGE_CODE = "en"  # of logs, commands, and readers whose browser prefers none of these
LANGUAGE_COOKIE_AGE = 365 * 24 * 60 * 60
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGES = [("en", "English"), ("uk", "Українська")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "fintrack.formats"
CURRENCY = env.str("CURRENCY", default="UAH")  # shown beside amounts that stand alone
TIME_ZONE = env.str("TIME_ZONE", default="Europe/Kyiv")  # decides which date is "today"
USE_TZ = True

# Static files

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
