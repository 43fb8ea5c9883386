"""The structure of the project: imports, top-level files, and consistent configuration files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-mysql.txt", "requirements-dev.txt")

# What each package may import of the others. The longest prefix of a module's name applies.
MAY_IMPORT = {
    "credits": {"fintrack"},
    "plans": {"credits", "fintrack"},
    "reports": {"credits", "plans", "fintrack"},
    "fintrack": set(),
    "fintrack.management": {"credits", "plans"},
    "fintrack.site": {"credits", "plans"},
    "fintrack.urls": {"credits", "plans", "reports"},
}
PACKAGES = {name for name in MAY_IMPORT if "." not in name}

ASKED_FOR = {
    "README.md",
    "credits",
    "docker-compose.yml",
    "fintrack",
    "manage.py",
    "plans",
    "reports",
    "requirements.txt",
    "templates",
}
EXPECTED = ASKED_FOR | {
    ".ci",
    ".dockerignore",
    ".env.example",
    ".gitignore",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "bench",
    "locale",
    "openapi.yaml",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements-mysql.txt",
    "tests",
}


def imported(source: str, module: str) -> Iterator[str]:
    """Returns the absolute names that a module's source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def wrong_imports(source: str, module: str) -> list[str]:
    ruling = max((name for name in MAY_IMPORT if f"{module}.".startswith(f"{name}.")), key=len)
    allowed = MAY_IMPORT[ruling] | {module.split(".")[0]}
    return [name for name in imported(source, module) if name.split(".")[0] in PACKAGES - allowed]


def modules() -> dict[str, str]:
    """Returns {dotted name: source} of all modules of the project."""
    paths = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts): path.read_text() for path in paths}


def test_packages_import_only_in_the_allowed_directions():
    wrong = {name: wrong_imports(source, name) for name, source in modules().items()}
    assert {name: names for name, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("credits.models", "import reports.cache", ["reports.cache"]),
        ("credits.models", "from plans.models import Plan", ["plans.models.Plan"]),
        ("credits.models", "def late():\n    from reports import cache", ["reports.cache"]),
        ("plans.views", "from reports.cache import clear", ["reports.cache.clear"]),
        ("plans.views", "from credits.models import Credit\nfrom .models import Plan", []),
        ("reports.cache", "from . import signals\nfrom plans import models", []),
        ("fintrack.api", "from ..reports import cache\nimport credits", ["reports.cache", "credits"]),
        ("fintrack.management.commands.first_run", "from plans.models import Plan", []),
        ("fintrack.management.commands.first_run", "import reports", ["reports"]),
    ],
)
def test_a_wrong_import_is_noticed(module, source, wrong):
    assert wrong_imports(source, module) == wrong


def test_no_two_modules_import_each_other():
    sources = modules()

    def module_of(name: str) -> str:
        """Returns the module that defines an imported name; empty if it is not the project's."""
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name

    graph = {
        module: {module_of(name) for name in imported(source, module)} - {"", module}
        for module, source in sources.items()
    }
    assert {"credits.book.trail", "credits.book.writing"} <= graph["credits.models"]
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules of a cycle


def test_top_level_holds_only_expected_files():
    command = "git -c safe.directory=* ls-files -z --cached --others --exclude-standard"
    listed = subprocess.run(command.split(), cwd=PROJECT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stderr}")
    found = {name.split("/")[0] for name in listed.stdout.split("\0") if name and (PROJECT / name).exists()}
    assert found - EXPECTED == set()
    assert ASKED_FOR - found == set()


def requirements(name: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in (PROJECT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-r ")]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_has_one_version(name):
    pinned = requirements(name)
    assert pinned
    assert [str(one) for one in pinned if not re.fullmatch(r"==[\w.]+", str(one.specifier))] == []


def test_dependencies_of_the_requirements_are_pinned_too():
    pinned = {canonicalize_name(one.name): one for one in requirements("requirements.txt")}
    needed = {
        canonicalize_name(needed.name)
        for name, one in pinned.items()
        if not one.marker or one.marker.evaluate()
        for needed in map(Requirement, requires(name) or [])
        if not needed.marker or needed.marker.evaluate({"extra": ""})
    }
    assert needed
    assert needed - set(pinned) == set()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def test_compose_starts_mysql_redis_and_the_service(compose):
    services = compose["services"]
    assert set(services) == {"db", "redis", "web"}
    assert (services["db"]["image"], services["redis"]["image"]) == ("mysql:8.4", "redis:7")
    assert services["web"]["build"] == "."
    assert services["web"]["environment"]["DATABASE_URL"].startswith("mysql://fintrack:")
    assert services["web"]["environment"]["DATABASE_URL"].endswith("@db:3306/fintrack")
    assert services["web"]["environment"]["REDIS_URL"] == "redis://redis:6379/0"


def test_compose_waits_until_each_service_is_healthy(compose):
    services = compose["services"]
    assert "mysqladmin" in services["db"]["healthcheck"]["test"]
    assert "redis-cli" in services["redis"]["healthcheck"]["test"]
    assert {name: on["condition"] for name, on in services["web"]["depends_on"].items()} == {
        "db": "service_healthy",
        "redis": "service_healthy",
    }
    (check,) = re.findall(r"^HEALTHCHECK .*\n\s+CMD (.*)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert "/readyz" in check


def test_compose_keeps_data_in_volumes(compose):
    services = compose["services"]
    assert services["db"]["volumes"] == ["db:/var/lib/mysql"]
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert set(compose["volumes"]) == {"db", "redis"}


def test_compose_publishes_its_port_on_this_machine_only(compose):
    assert [service["ports"] for service in compose["services"].values() if "ports" in service] == [
        ["127.0.0.1:${PORT:-8000}:8000"]
    ]


def test_compose_holds_no_secret_and_requires_each(compose):
    given = {
        f"{title}.{name}": value
        for title, service in compose["services"].items()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|KEY|TOKEN", name)
    }
    assert set(given) == {"db.MYSQL_PASSWORD", "db.MYSQL_ROOT_PASSWORD", "web.SECRET_KEY"}
    assert [name for name, value in given.items() if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)] == []
    url = compose["services"]["web"]["environment"]["DATABASE_URL"]
    assert re.fullmatch(r"mysql://fintrack:\$\{MYSQL_PASSWORD:\?[^}]+\}@db:3306/fintrack", url)


def example_names() -> dict[str, str]:
    """Returns {name: value} of .env.example, including values in comments."""
    text = (PROJECT / ".env.example").read_text()
    return dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, re.MULTILINE))


def settings_names() -> set[str]:
    """Returns the variables that settings.py reads: arguments of env, env.… and switch."""
    calls = [
        node
        for node in ast.walk(ast.parse((PROJECT / "fintrack/settings.py").read_text()))
        if isinstance(node, ast.Call) and re.fullmatch(r"env(\.\w+)?|switch", ast.unparse(node.func))
    ]
    first = [call.args[0] for call in calls if call.args]
    return {argument.value for argument in first if isinstance(argument, ast.Constant)}


def test_example_environment_names_every_setting():
    read = settings_names()
    assert {"DATABASE_URL", "SECRET_KEY", "HTTPS"} <= read
    assert read - set(example_names()) == set()


def test_example_environment_names_every_variable_of_compose():
    taken = set(re.findall(r"\$\{(\w+)", (PROJECT / "docker-compose.yml").read_text()))
    assert "MYSQL_PASSWORD" in taken
    assert taken - set(example_names()) == set()


def test_example_environment_holds_no_secret():
    secret = {name: value for name, value in example_names().items() if re.search("PASSWORD|SECRET", name)}
    assert secret == {"SECRET_KEY": "", "MYSQL_PASSWORD": "", "MYSQL_ROOT_PASSWORD": ""}


def test_readme_explains_every_setting():
    rows = re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert set(rows) == settings_names()
