"""Files and environment → Config: the only reader of either. All problems at once: file, line, key path, remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.config.environment import Context
from pipeline.config.keys import check_keys
from pipeline.config.logs import LogsConfig
from pipeline.config.messages import problems_of
from pipeline.config.promtail import PromtailConfig
from pipeline.config.root import Config
from pipeline.config.section import Section
from pipeline.config.units import parse_duration
from pipeline.config.yaml_tree import Tree, read_tree
from topics.errors import ConfigError, Problem

_S = TypeVar("_S", bound=Section)


def load(config_file: Path, *, promtail_file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration. Raises ConfigError with every problem found; warnings are `Config.notes`.

    A Promtail file takes the place of `logs`, which must then be absent from `config_file`.
    """
    tree = read_file(config_file)
    config = _validated(Config, tree, config_file, environ)
    trees = [tree]
    if promtail_file is not None:
        trees.append(read_file(promtail_file))
        promtail = _validated(PromtailConfig, trees[1], promtail_file, environ)
        if config is not None and config.logs != LogsConfig():
            remedy = "keep them in one of the two files"
            tree.problems.append(tree.problem(("logs",), f"logs are configured here and in {promtail_file}", remedy))
        if config is not None and promtail is not None:
            config = config.model_copy(update={"logs": promtail.logs()})
    problems = [problem for one in trees for problem in sorted(one.problems, key=lambda problem: problem.line)]
    if problems or config is None:
        raise ConfigError(problems)
    return config.with_notes([note for one in trees for note in one.notes])


def _validated(section: type[_S], tree: Tree, path: Path, environ: Mapping[str, str]) -> _S | None:
    """The section that the whole file is; None, and problems in the tree, when it is not one."""
    data = check_keys(section, {} if tree.data is None else tree.data, tree, ())
    if section is Config:
        _inherit(data)
    try:
        return section.model_validate(data, context=Context(environ, path.absolute().parent))
    except ValidationError as error:
        tree.problems += problems_of(error, tree)
    return None


def read_file(path: Path) -> Tree:
    """The tree of a file; one that cannot be read is a problem like any other."""
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return _unreadable(name, error.strerror or str(error), "check the path and its permissions")
    except UnicodeDecodeError:
        return _unreadable(name, "not UTF-8 text", "save the file as UTF-8")
    return read_tree(text, name)


def _unreadable(name: str, message: str, remedy: str) -> Tree:
    return Tree(name, problems=[Problem(name, 0, "", f"cannot be read: {message}", remedy)])


def _inherit(data: Any) -> None:
    """Give every job what `global` says, as Prometheus does: a timeout never exceeds the interval unless written so."""
    if not isinstance(data, dict):
        return
    section = data.get("global")
    section = section if isinstance(section, dict) else {}
    if section:
        interval = _seconds(section.get("scrape_interval"), 60.0) or 60.0
        section.setdefault("scrape_timeout", min(10.0, interval))
    interval = _seconds(section.get("scrape_interval"), 60.0) or 60.0
    timeout = _seconds(section.get("scrape_timeout"), min(10.0, interval)) or min(10.0, interval)
    jobs = data.get("scrape_configs")
    for job in jobs if isinstance(jobs, list) else []:
        if isinstance(job, dict):
            job.setdefault("scrape_interval", interval)
            own = _seconds(job["scrape_interval"], interval)
            job.setdefault("scrape_timeout", min(timeout, own or timeout))
            if "scrape_protocols" in section:
                job.setdefault("scrape_protocols", section["scrape_protocols"])


def _seconds(value: Any, default: float) -> float:
    if isinstance(value, int | float):
        return float(value)
    try:
        return parse_duration(value) if isinstance(value, str) else default
    except ValueError:
        return default
