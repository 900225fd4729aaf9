"""Names that must be unique: those of jobs, and of backends across metrics and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.config.backends import NAME

if TYPE_CHECKING:
    from pipeline.config.yaml_tree import Path, Tree

Where = tuple["Tree", "Path"]


def repeated_jobs(lists: list[tuple[Tree, Path]]) -> None:
    """Add a problem for each job whose name another job before it bears. `lists`: where lists of jobs stand."""
    first: dict[str, Where] = {}
    for tree, path in lists:
        for index, job in enumerate(_items(tree, path)):
            name = job.get("job_name") if isinstance(job, dict) else None
            where = (*path, index, "job_name")
            if not isinstance(name, str):
                continue
            if name in first:
                other, there = first[name]
                place = f"{other.file}:{other.line(there)}"
                message = f'found multiple scrape configs with job name "{name}", first found in {place}'
                tree.problems.append(tree.problem(where, message, "give each job a name of its own"))
            else:
                first[name] = (tree, where)


def repeated_backends(found: list[tuple[str, Tree, Path]]) -> None:
    """Add a problem for each backend whose name is no name, or another's. `found`: name, and where it stands."""
    first: dict[str, Where] = {}
    for name, tree, path in found:
        if not NAME.fullmatch(name):
            remedy = "use at most 100 of the characters a-z A-Z 0-9 _ . -"
            tree.problems.append(tree.problem((*path, "name"), f'"{name}" cannot name a backend', remedy))
        elif name in first:
            other, there = first[name]
            message = f'the backend "{name}" exists already, in {other.file}:{other.line(there)}'
            remedy = "give it a name of its own; without one, it is derived from the url"
            tree.problems.append(tree.problem((*path, "name"), message, remedy))
        else:
            first[name] = (tree, path)


def _items(tree: Tree, path: Path) -> list[Any]:
    value = tree.data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []
