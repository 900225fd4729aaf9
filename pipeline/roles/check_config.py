"""What `headrace check config` looks at besides the file itself: the files that it names, and the targets in it.

A running role does not refuse these: a secret that is rotated may be absent for a moment, a target file may come later.
What promtool fails for is a problem here; what it passes over although it is missing is a note.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.http import HttpHeader
from pipeline.config.load import read
from pipeline.config.scrape import ScrapeConfig
from pipeline.config.section import Fault, Section
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.file import read_groups
from pipeline.discovery.target_group import TargetGroup
from pipeline.relabel.program import Program
from pipeline.scrape.target import BadTarget, targets_of
from topics.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.config.root import Config

KeyPath = tuple[str | int, ...]
# Files of a job without which promtool fails, by the end of their key path below the job.
_NEEDED = (
    ("authorization", "credentials_file"), ("bearer_token_file",), ("tls_config", "cert_file"),
    ("tls_config", "key_file"),
)  # fmt: skip


def check(
    config_file: Path,
    *,
    promtail_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    syntax_only: bool = False,
) -> Config:
    """The configuration, looked at from all sides. Raises ConfigError with every problem.

    `syntax_only`: no other file is looked at, whether it is there or not.
    """
    loaded = read(config_file, promtail_file=promtail_file, environ=environ, other_files=not syntax_only)
    problems, notes = [], list(loaded.config.notes)
    for tree, section in loaded.files:
        for path, fault in _bad_targets(section, files=not syntax_only):
            problems.append(tree.problem(path, fault.message, fault.remedy))
        for path, name in () if syntax_only else _absent(section):
            problem = tree.problem(path, f"{name}: no such file", "create it, or mend the path")
            (problems if _needed(path) else notes).append(problem)
        for path, pattern in () if syntax_only else _no_targets(section):
            notes.append(tree.problem(path, f"{pattern}: no such file yet", "its targets come when it is there"))
    if problems:
        raise ConfigError(problems)
    return loaded.config.with_notes(notes)


def _within(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Section]]:
    """Every section inside a value, with its key path."""
    if isinstance(value, Section):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from _within(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _within(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _within(item, (*path, key))


def _absent(root: Section) -> Iterator[tuple[KeyPath, str]]:
    """The files with secrets and certificates that are not there."""
    for path, section in _within(root):
        for name in type(section).model_fields:
            value = getattr(section, name)
            if name.endswith("_file") and isinstance(value, str) and value and not Path(value).exists():
                yield (*path, name), value
        if isinstance(section, HttpHeader):
            for index, file in enumerate(section.files):
                if not Path(file).exists():
                    yield (*path, "files", index), file


def _needed(path: KeyPath) -> bool:
    match path:
        case ("scrape_configs", int(), *below):
            discovery = below[:1] == ["kubernetes_sd_configs"]
            keys = tuple(below[2:] if discovery else below)
            return keys in _NEEDED and not (discovery and keys[0] != "tls_config")
        case _:
            return False


def _jobs(root: Section) -> Iterator[tuple[KeyPath, ScrapeConfig]]:
    return ((path, section) for path, section in _within(root) if isinstance(section, ScrapeConfig))


def _no_targets(root: Section) -> Iterator[tuple[KeyPath, str]]:
    for path, job in _jobs(root):
        for index, settings in enumerate(job.file_sd_configs):
            for place, pattern in enumerate(settings.files):
                if not glob.glob(pattern):
                    yield (*path, "file_sd_configs", index, "files", place), pattern


def _bad_targets(root: Section, *, files: bool) -> Iterator[tuple[KeyPath, Fault]]:
    """Targets written down, here or in the files of `file_sd_configs`, that would not be scraped."""
    for path, job in _jobs(root):
        rules = Program(job.relabel_configs)
        for index, static in enumerate(job.static_configs):
            targets = tuple({"__address__": address} for address in static.targets)
            for bad in _bad(job, rules, TargetGroup(str(index), targets, dict(static.labels))):
                yield (*path, "static_configs", index), Fault(bad, "mend the target or the rules")
        for index, settings in enumerate(job.file_sd_configs):
            for place, pattern in enumerate(settings.files if files else ()):
                for bad in _bad_files(job, rules, pattern):
                    yield (*path, "file_sd_configs", index, "files", place), Fault(bad, "mend that file")


def _bad_files(job: ScrapeConfig, rules: Program, pattern: str) -> Iterator[str]:
    for name in sorted(glob.glob(pattern)):
        try:
            for group in read_groups(name):
                for bad in _bad(job, rules, group):
                    yield f"{name}: {bad}"
        except DiscoveryFailed as error:
            yield str(error)


def _bad(job: ScrapeConfig, rules: Program, group: TargetGroup) -> Iterator[str]:
    for labels, target in targets_of(job, rules, group):
        if isinstance(target, BadTarget):
            yield f'target "{labels.get("__address__", "")}": {target}'
