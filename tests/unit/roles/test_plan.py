"""Which processes a configuration asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.config.load import load
from pipeline.roles.plan import Common, Stage, plan

if TYPE_CHECKING:
    from pipeline.roles.plan import ChildSpec

SCRAPE = "scrape_configs: [{job_name: a, static_configs: [{targets: [b]}]}]\n"
WRITE = "remote_write: [{name: m1, url: 'http://u:p@h/'}, {name: m2, url: 'http://h/'}]\n"
TAIL = "  scrape_configs: [{job_name: l, static_configs: [{targets: [localhost], labels: {__path__: /x}}]}]\n"
CLIENT = "  clients: [{name: l1, url: 'http://h/'}]\n"


def planned(folder: Path, text: str, promtail_file: Path | None = None) -> dict[str, ChildSpec]:
    file = folder / "f.yml"
    file.write_text(text)
    common = Common(
        config_file=file,
        promtail_file=promtail_file,
        brokers=("a:1", "b:2"),
        prefix="p.",
        storage=folder / "data",
        instance_id="run-1",
        log_level="debug",
        log_format="json",
        stop_s={Stage.SOURCE: 3.25, Stage.AGENT: 4.0},
    )
    return plan(load(file), common)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{}", []),
        (SCRAPE, ["scraper"]),
        (WRITE, ["agent:m1", "agent:m2"]),
        ("logs:\n" + TAIL, ["tailer"]),
        (SCRAPE + WRITE + "logs:\n" + TAIL + CLIENT, ["scraper", "tailer", "agent:m1", "agent:m2", "agent:l1"]),
    ],
)
def test_a_role_runs_when_there_is_something_for_it(tmp_path: Path, text: str, names: list[str]) -> None:
    assert list(planned(tmp_path, text)) == names


def test_a_child_is_told_everything_by_flags_and_files(tmp_path: Path) -> None:
    spec = planned(tmp_path, WRITE, Path("/etc/promtail.yml"))["agent:m1"]
    assert spec.argv[4:] == (
        "agent",
        "--backend",
        "m1",
        "--group.instance-id=run-1",
        f"--config.file={tmp_path / 'f.yml'}",
        "--promtail.config-file=/etc/promtail.yml",
        "--kafka.brokers=a:1,b:2",
        "--kafka.prefix=p.",
        f"--storage.path={tmp_path / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        f"--web.address-file={tmp_path / 'data' / 'run' / 'agent.m1.address'}",
        "--log.level=debug",
        "--log.format=json",
        "--stop.deadline=4",
    )
    assert (spec.backend, spec.kind, spec.stage) == ("m1", "metrics", Stage.AGENT)


def test_nothing_public_bears_a_password(tmp_path: Path) -> None:
    spec = planned(tmp_path, "remote_write: [{name: m1, url: 'http://user:hunter2@h/'}]\n")["agent:m1"]
    assert "hunter2" not in repr(spec)
