"""What the documents name exists: commands, flags, make targets, files. What the README shows loads."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from agents.__main__ import main as agent
from agents.dlq.__main__ import main as dlq
from agents.replay.__main__ import main as replay
from agents.status.__main__ import main as status
from pipeline.cli.main import COMMANDS, cli
from pipeline.config.backends import backends
from pipeline.config.load import load
from topics.record import Kind

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "topics" / "README.md"]
# Flags of the programs around us that the documents name.
FOREIGN_FLAGS = {"--build", "--add-config", "--tsdb.out-of-order.time-window"}

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def code_of(path: Path) -> str:
    """What stands in backticks, fenced blocks and indented blocks; comments of the shell left out."""
    text = path.read_text(encoding="utf-8")
    parts = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    parts += re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return "\n".join(part.split(" # ")[0] for part in "\n".join(parts).splitlines())


ABOVE = {"agent": agent, "dlq": dlq, "replay": replay, "status": status}
"""What stands behind the commands that become another program."""


def commands_of(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its words: `run`, `check`, `check config` …"""
    found: dict[str, click.Command] = {}
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        command = found[prefix + name] = ABOVE.get(name, command)
        if isinstance(command, click.Group):
            found |= commands_of(command, f"{prefix}{name} ")
    return found


COMMAND_OF = commands_of(cli)
FLAGS = {flag for command in [cli, *COMMAND_OF.values()] for one in command.params for flag in one.opts} | {"--help"}


def test_the_examples_of_the_readme_load_and_mean_what_the_text_says(tmp_path: Path) -> None:
    prometheus, promtail = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(prometheus)
    (tmp_path / "promtail.yml").write_text(promtail)
    environ = {"TENANT_ID": "team-a"}
    config = load(tmp_path / "prometheus.yml", promtail_file=tmp_path / "promtail.yml", environ=environ)
    assert config.notes == ()
    assert not config.kafka.brokers, "headrace run starts a Kafka of its own"
    assert [one.kind for one in backends(config)] == [Kind.METRICS, Kind.METRICS, Kind.LOGS]


@every_document
def test_every_command_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"(?<![\w./-])headrace +([a-z]+)(?: +([a-z]+(?:-[a-z]+)*))?", code_of(path))
    missing = [first for first, _ in named if first not in COMMANDS]
    groups = {name for name, command in COMMAND_OF.items() if isinstance(command, click.Group)}
    missing += [
        f"{first} {second}"
        for first, second in named
        if second and first in groups and f"{first} {second}" not in COMMAND_OF
    ]
    assert missing == []


@every_document
def test_every_flag_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]", code_of(path)))
    faults = [ROOT / "tests/faults" / name for name in ("published.py", "schedules/__main__.py")]
    ours = [*(ROOT / "tests/bench").glob("*.py"), *faults]
    development = "".join(path.read_text(encoding="utf-8") for path in ours)
    assert named - FLAGS - FOREIGN_FLAGS - set(re.findall(r'"(--[a-z-]+)"', development)) == set()


@every_document
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    rules = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code_of(path))) - targets == set()


@every_document
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))]
    assert [link for link in local if not (path.parent / link).exists()] == []


@every_document
def test_every_file_of_ours_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:agents|pipeline|topics|tests|docs|k8s)/[\w./-]+\w)`", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
