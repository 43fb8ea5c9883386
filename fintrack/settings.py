"""Settings: one file, every value from the environment, defaults that run.

README, "Settings", lists the variables.
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
VAR_DIR = BASE_DIR / "var"  # what running makes: the database file, the secret key, static files
VAR_DIR.mkdir(mode=0o700, exist_ok=True)  # the book is in there

env = environ.Env()
env.ENVIRON = {name: value for name, value in os.environ.items() if value.strip()}  # empty is absent


def switch(name: str) -> bool:
    """A variable that is on or off; off if it is absent."""
    value = env.str(name, default="off").strip().lower()
    if value not in ("on", "true", "yes", "1", "off", "false", "no", "0"):
        raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")
    return value in ("on", "true", "yes", "1")


def secret_key_file(path: Path) -> str:
    """The key in the file, which is made once and is readable by its owner alone."""
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(60))
        try:
            os.link(draft, path)  # all of the key or none of it, whoever else is starting
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
    "fintrack.access.limit_body",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "fintrack.api.tags.GZip",  # padded at random: a page's length tells nothing of its token
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
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
    # A write takes the lock when its transaction begins: it can wait then, but not halfway.
    database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL",
    }
elif engine == "django.db.backends.mysql":
    database["OPTIONS"] = {
        "charset": "utf8mb4",
        "init_command": "SET sql_mode='TRADITIONAL'",  # a value that doesn't fit is an error
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
SESSION_COOKIE_AGE = 12 * 60 * 60  # a working day
MAX_BODY = 12 * 2**20  # bytes of a request

# Whoever gets a password wrong too often waits, with that name and at that address.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
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
        "stranger": "60/min",  # who shows no token, or a wrong one
        "sign_in": "20/min",  # of an address, right passwords too: a whole office may be behind it
        "own_password": "20/hour",  # of an account
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
        "Reports on a micro-lender's book, and the book itself. Money and percentages are JSON numbers of at "
        "most two decimals. Errors are problems of RFC 9457, which list every fault."
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
# The API's addresses: pages of other sites may ask them, and all their errors are problems in JSON.
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
    SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]  # asked over plain HTTP, from inside
    SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# Files in and out of the admin

IMPORT_EXPORT_SKIP_ADMIN_LOG = True  # the trail knows

# Logs: each line is JSON, each request is one

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
        # What is the client's fault is in the line of the request.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"filters": ["no_traceback"]},
        "django.server": {"handlers": [], "level": "ERROR", "propagate": True},
    },
}

# Language and time

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "fintrack.formats"
TIME_ZONE = env.str("TIME_ZONE", default="Europe/Kyiv")  # "today" is the date there
USE_TZ = True

# Static files

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
