# FinTrack's commands; `make` lists them. They use the settings in the environment, which .env.example explains.

PYTHON ?= python3
PORT ?= 8000
export PORT

python := .venv/bin/python
# Tests ignore the caller's settings.
alone := env -u ALLOWED_HOSTS -u CURRENCY -u DATABASE_URL -u DEBUG -u HTTPS -u REDIS_URL -u SECRET_KEY -u TIME_ZONE

.PHONY: help run test test-all rounds lint messages
.NOTPARALLEL:

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1: /p' Makefile

# granian runs in its own process group and gets a single signal: SIGTERM from the trap. In the terminal's group it
# would reload when the terminal closes (SIGHUP), and it may hang on two signals at once. A killed make signals only
# its direct children, hence `exec`.
run: .venv/requirements.done ## serve on 127.0.0.1:8000 (or PORT=); load demo data (or DATA=folder) into an empty book
	@$(if $(filter mysql%,$(value DATABASE_URL)),$(install-mysqlclient))
	@$(python) -c 'import os, socket; socket.create_server(("127.0.0.1", int(os.environ["PORT"])))' 2>/dev/null || \
		{ echo "Port $$PORT can't be used; another server may be running there. Choose another port: make run PORT=8001" >&2; exit 1; }
	@echo "Preparing the database and the static files."
	@$(python) manage.py migrate --verbosity 0
	@$(python) manage.py collectstatic --noinput --verbosity 0
	@exec $(python) manage.py first_run --port "$$PORT" $${DATA:+--data "$$DATA"}
	@trap 'trap "" HUP INT TERM; kill $$!' HUP INT TERM; \
	$(python) -c 'import os, sys; os.setpgid(0, 0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])' \
		-m granian --interface wsgi --no-ws --host 127.0.0.1 --port "$$PORT" --workers 2 --blocking-threads 4 \
		--respawn-failed-workers --workers-kill-timeout 5 fintrack.wsgi:application & \
	wait $$! || wait $$!

test: pytest := $(python) -m pytest -n auto --dist loadgroup -m "not slow"
test: rounds ## run the quick tests on SQLite and, if installed, on MariaDB (or MySQL) and Redis

test-all: pytest := $(python) -m pytest -n auto --dist loadgroup
test-all: rounds ## run all tests, including the slow ones

rounds: .venv/requirements-dev.done
	$(alone) $(pytest)
	@if $(python) tests/services.py && { $(install-mysqlclient); }; then \
		exec $(alone) $(python) tests/services.py $(pytest); \
	elif [ "$$REQUIRE_SERVICES" = 1 ]; then exit 1; fi

lint: .venv/requirements-dev.done ## check style, types, missing migrations and production settings
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(alone) $(python) manage.py makemigrations --check --dry-run
	@$(alone) HTTPS=on ALLOWED_HOSTS=example.com SECRET_KEY="$$($(python) -c 'import secrets; print(secrets.token_urlsafe(60))')" \
		$(python) manage.py check --deploy --fail-level WARNING

messages: catalog := locale/uk/LC_MESSAGES/django.po
messages: .venv/requirements.done ## extract the texts for translation, and compile the translations (needs gettext)
	$(alone) $(python) manage.py makemessages --locale uk --no-location --no-obsolete --no-wrap --ignore .venv --ignore tests --ignore bench
	sed '/^"POT-Creation-Date/d; /^"Report-Msgid/d' $(catalog) >$(catalog).new && mv $(catalog).new $(catalog)
	$(alone) $(python) manage.py compilemessages --locale uk --ignore .venv

# The file `whole` marks a complete installation (renaming it keeps its date). If an installation was interrupted or
# its Python is gone, .venv is created again from scratch.
.venv/%.done: %.txt .venv/whole
	@mv .venv/whole .venv/half
	@echo "Installing $<."
	@$(python) -m pip install --quiet --disable-pip-version-check --requirement $<
	@mv .venv/half .venv/whole
	@touch $@

.venv/requirements-dev.done: .venv/requirements.done

.venv/whole: $(python)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "FinTrack needs Python 3.11 or newer. If yours has another name: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Creating .venv."
	@"$(PYTHON)" -m venv --clear .venv || \
		{ echo "The virtual environment .venv can't be created; Debian and Ubuntu need: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(python): ;

# The only package without a Linux wheel.
install-mysqlclient = $(python) -m pip install --quiet --requirement requirements-mysql.txt >.venv/mysqlclient.log 2>&1 || \
	{ echo "mysqlclient can't be installed (see .venv/mysqlclient.log); Debian and Ubuntu need: apt install" \
		"build-essential python3-dev libmariadb-dev pkg-config" >&2; false; }
