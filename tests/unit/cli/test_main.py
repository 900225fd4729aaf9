"""The command line as a user meets it: help, versions, usage errors."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.main import COMMANDS, cli, main
from pipeline.lifecycle.options import RoleOptions, role_options
from topics.errors import ConfigError, HeadraceError, Problem


@click.command()
@role_options("run")
@click.option("--extra", default="")
def show(options: RoleOptions, extra: str) -> None:
    click.echo(repr((options, extra)))


def options_of(*args: str) -> RoleOptions:
    seen: list[RoleOptions] = []

    @click.command()
    @role_options("scraper")
    def catch(options: RoleOptions) -> None:
        seen.append(options)

    result = CliRunner().invoke(catch, args)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_a_dotted_flag_takes_both_forms() -> None:
    assert str(options_of("--config.file=a.yml").config_file) == "a.yml"
    assert str(options_of("--config.file", "a.yml").config_file) == "a.yml"


def test_brokers_are_a_list() -> None:
    assert options_of("--kafka.brokers=a:1, b:2").brokers == ("a:1", "b:2")
    assert options_of().brokers is None


@pytest.mark.parametrize(
    "args",
    [
        ["--kafka.brokers="],
        ["--kafka.brokers=kafka"],
        ["--kafka.brokers=a:9092,b:port"],
        ["--kafka.prefix=a b/"],
        ["--web.listen-address=9095"],
        ["--web.listen-address=127.0.0.1:99999"],
        ["--log.level=loud"],
        ["--log.format=xml"],
        ["--no.such=1"],
        ["--config.file"],
        ["extra"],
    ],
)
def test_bad_usage_exits_2(args: list[str]) -> None:
    result = CliRunner().invoke(show, args)
    assert result.exit_code == 2
    assert "Error" in result.output


def test_help_imports_no_command() -> None:
    code = (
        "import sys; sys.argv = ['headrace', '--help']\n"
        "from pipeline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'aiokafka', 'faust', 'pydantic', 'numpy', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Usage: headrace" in result.stdout


BECOMING = {
    f"pipeline.cli.{path.stem}"
    for path in Path(str(find_spec("pipeline.cli.main").origin)).parent.glob("*.py")
    if "= become(" in path.read_text(encoding="utf-8")
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    if COMMANDS[name][0] in BECOMING:  # another program answers, and takes this one's place
        argv = [sys.executable, "-P", "-m", "pipeline.cli", name, "--help"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, f"Usage: headrace {name}" in done.stdout) == (0, True), done.stderr
    else:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, result.output


def test_version() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("headrace ")


def test_an_unknown_command_exits_2() -> None:
    assert CliRunner().invoke(cli, ["nonsense"]).exit_code == 2


def test_every_problem_of_a_configuration_is_printed_and_the_exit_code_is_2(monkeypatch, capsys) -> None:
    def fail(**_given) -> None:
        raise ConfigError([Problem("f.yml", n, "key", "is wrong", "mend it") for n in (1, 2)])

    monkeypatch.setattr("pipeline.cli.main.cli", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "f.yml:1: key: is wrong (mend it)" in error
    assert "f.yml:2: key: is wrong (mend it)" in error


def test_another_failure_is_one_line_and_exits_1(monkeypatch, capsys) -> None:
    def fail(**_given) -> None:
        raise HeadraceError("what, where, and what to do")

    monkeypatch.setattr("pipeline.cli.main.cli", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "headrace: what, where, and what to do\n"
