"""Files and environment → Config: the only reader of either. All problems at once: file, line, key path, remedy."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.config.advice import advice
from pipeline.config.environment import Context
from pipeline.config.inherit import inherit
from pipeline.config.keys import check_keys
from pipeline.config.logs import LogsConfig
from pipeline.config.messages import problems_of
from pipeline.config.names import repeated_backends, repeated_jobs
from pipeline.config.promtail import PromtailConfig
from pipeline.config.root import Config
from pipeline.config.scrape import ScrapeConfig, ScrapeConfigFile
from pipeline.config.section import Section
from pipeline.config.yaml_tree import Tree, read_tree
from topics.errors import ConfigError, Problem

_S = TypeVar("_S", bound=Section)
# As Prometheus: a star may stand in the last part of the path only.
_GLOB = re.compile(r"[^*]*(\*[^/]*)?")


def load(config_file: Path, *, promtail_file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check the configuration. Raises ConfigError with every problem found; warnings are `Config.notes`.

    A Promtail file takes the place of `logs`, which must then be absent from `config_file`.
    """
    return read(config_file, promtail_file=promtail_file, environ=environ).config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and its files as they were read: the tree, which knows the lines, and the section."""

    config: Config
    files: tuple[tuple[Tree, Section], ...]


def read(
    config_file: Path,
    *,
    promtail_file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    other_files: bool = True,
) -> Loaded:
    """As `load`, for who wants to say more about it. Without `other_files`, `scrape_config_files` are left unread."""
    return _Loader(environ, other_files=other_files).load(config_file, promtail_file)


class _Loader:
    """One load: the files read so far, with what is wrong in each."""

    def __init__(self, environ: Mapping[str, str], *, other_files: bool) -> None:
        self._environ = environ
        self._other_files = other_files
        self._trees: list[Tree] = []
        self._files: list[tuple[Tree, Section]] = []
        self._jobs: list[tuple[Tree, tuple[str | int, ...]]] = []
        self._log_jobs: list[tuple[Tree, tuple[str | int, ...]]] = []
        self._backends: list[tuple[str, Tree, tuple[str | int, ...]]] = []

    def load(self, config_file: Path, promtail_file: Path | None) -> Loaded:
        tree, config = self._read(Config, config_file, config_file.absolute().parent)
        self._jobs.append((tree, ("scrape_configs",)))
        self._log_jobs.append((tree, ("logs", "scrape_configs")))
        if config is not None:
            config = self._with_scrape_files(tree, config, config_file)
            self._count_backends(config, tree)
        if promtail_file is not None:
            logs = self._promtail(tree, promtail_file, config is not None and config.logs != LogsConfig())
            config = config and config.model_copy(update={"logs": logs})
        repeated_jobs(self._jobs)
        repeated_jobs(self._log_jobs)
        repeated_backends(self._backends)
        problems = [problem for one in self._trees for problem in sorted(one.problems, key=lambda each: each.line)]
        if problems or config is None:
            raise ConfigError(problems)
        notes = [note for one in self._trees for note in sorted(one.notes, key=lambda each: each.line)]
        return Loaded(config.with_notes(notes), tuple(self._files))

    def _read(
        self, section: type[_S], path: Path, directory: Path, defaults: Mapping[str, Any] | None = None
    ) -> tuple[Tree, _S | None]:
        """The section that a whole file is; None, and problems in its tree, when it is not one."""
        tree = read_file(path)
        self._trees.append(tree)
        data = check_keys(section, {} if tree.data is None else tree.data, tree, ())
        if section is not PromtailConfig:  # its `global` is another one
            inherit(data, defaults)
        try:
            read = section.model_validate(data, context=Context(self._environ, directory))
        except ValidationError as error:
            tree.problems += list(problems_of(error, tree))
            return tree, None
        tree.notes += [tree.problem(where, found.message, found.remedy) for where, found in advice(read)]
        self._files.append((tree, read))
        return tree, read

    def _with_scrape_files(self, tree: Tree, config: Config, config_file: Path) -> Config:
        defaults = dict(config.global_)
        jobs: list[ScrapeConfig] = []
        for index, pattern in enumerate(config.scrape_config_files):
            if _GLOB.fullmatch(pattern) is None:
                remedy = "a * may stand in the last part of the path only"
                where = ("scrape_config_files", index)
                tree.problems.append(tree.problem(where, f'invalid scrape config file path "{pattern}"', remedy))
                continue
            for path in _matching(pattern, config_file) if self._other_files else ():
                part, read = self._read(ScrapeConfigFile, path, path.absolute().parent, defaults)
                self._jobs.append((part, ("scrape_configs",)))
                jobs += read.scrape_configs if read is not None else ()
        return config.model_copy(update={"scrape_configs": (*config.scrape_configs, *jobs)})

    def _promtail(self, tree: Tree, promtail_file: Path, already: bool) -> LogsConfig:
        # Promtail, unlike Prometheus, starts relative paths from where it was started.
        promtail_tree, promtail = self._read(PromtailConfig, promtail_file, Path.cwd())
        self._log_jobs.append((promtail_tree, ("scrape_configs",)))
        if already:
            remedy = "keep them in one of the two files"
            tree.problems.append(tree.problem(("logs",), f"logs are configured here and in {promtail_file}", remedy))
        for index, client in enumerate(promtail.clients if promtail else ()):
            self._backends.append((client.name, promtail_tree, ("clients", index)))
        return promtail.logs() if promtail else LogsConfig()

    def _count_backends(self, config: Config, tree: Tree) -> None:
        for index, remote in enumerate(config.remote_write):
            self._backends.append((remote.name, tree, ("remote_write", index)))
        for index, client in enumerate(config.logs.clients):
            self._backends.append((client.name, tree, ("logs", "clients", index)))


def _matching(pattern: str, config_file: Path) -> Iterator[Path]:
    """The files of a pattern, in order. One without a star that does not exist is none, as in Prometheus."""
    yield from (Path(name) for name in sorted(glob.glob(str(config_file.absolute().parent / pattern))))


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
