# mysqlclient needs a compiler, which stays out of the final image.
FROM python:3.13-slim AS wheels
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential libmariadb-dev pkg-config
COPY requirements.txt requirements-mysql.txt ./
RUN pip wheel --no-cache-dir --wheel-dir /wheels -r requirements.txt -r requirements-mysql.txt


FROM python:3.13-slim
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# libmariadb3 includes the plugin for caching_sha2_password, MySQL 8.4's default authentication.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libmariadb3 \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=from=wheels,source=/wheels,target=/wheels pip install --no-cache-dir --no-index /wheels/*.whl

WORKDIR /app
COPY . .
# The key is only for this command; the image contains none.
RUN useradd --system fintrack \
    && SECRET_KEY=unused python manage.py collectstatic --noinput \
    && chown fintrack var
USER fintrack

ENV GRANIAN_INTERFACE=wsgi \
    GRANIAN_WEBSOCKETS=false \
    GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    GRANIAN_WORKERS=2 \
    GRANIAN_BLOCKING_THREADS=4 \
    GRANIAN_WORKERS_KILL_TIMEOUT=5 \
    GRANIAN_RESPAWN_FAILED_WORKERS=true
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/readyz')"]
CMD ["granian", "fintrack.wsgi:application"]
