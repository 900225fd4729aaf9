"""`/tail`: the files of a tailer for people. Filtered, sorted and cut into pages here, so that thousands do no harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PAGE_ROWS = 100
_STATES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "all": lambda row: True,
    "behind": lambda row: row["lag_bytes"] > 0,
    "busy": lambda row: row["bytes_per_s"] > 0,
    "errors": lambda row: bool(row["last_error"]),
}
_ORDERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "path": lambda row: (row["path"], row["job"]),
    "lag": lambda row: (-row["lag_bytes"], row["path"]),
    "age": lambda row: (-row["lag_s"], row["path"]),
    "rate": lambda row: (-row["bytes_per_s"], row["path"]),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the reader asks for in the address."""

    search: str = ""
    state: str = "all"
    sort: str = "path"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """From the address's query; what makes no sense is as if it were not there."""
        state, sort, page = query.get("state", ""), query.get("sort", ""), query.get("page", "")
        return cls(
            search=query.get("search", "").strip(),
            state=state if state in _STATES else "all",
            sort=sort if sort in _ORDERS else "path",
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        )

    def link(self, **changes: Any) -> str:
        """The address's query with something changed; a change of what is listed begins at the first page."""
        asked = {"search": self.search, "state": self.state, "sort": self.sort, "page": 1} | changes
        usual = {"search": "", "state": "all", "sort": "path", "page": 1}
        return "?" + urlencode({name: value for name, value in asked.items() if value != usual[name]})


def view(rows: Sequence[Mapping[str, Any]], wish: Wish) -> dict[str, Any]:
    """What the template needs: the rows of one page, and figures over all of them."""
    words = wish.search.lower().split()
    chosen = [row for row in rows if _STATES[wish.state](row) and (not words or _has(row, words))]
    chosen.sort(key=_ORDERS[wish.sort])
    pages = max(1, -(-len(chosen) // PAGE_ROWS))
    wish = Wish(wish.search, wish.state, wish.sort, min(wish.page, pages))
    begin = (wish.page - 1) * PAGE_ROWS
    return {
        "wish": wish,
        "rows": chosen[begin : begin + PAGE_ROWS],
        "first": begin + 1 if chosen else 0,
        "chosen": len(chosen),
        "pages": pages,
        "counts": {state: sum(map(test, rows)) for state, test in _STATES.items()},
        "sorts": tuple(_ORDERS),
        "lag_bytes": sum(row["lag_bytes"] for row in rows),
        "lag_s": max((row["lag_s"] for row in rows), default=0.0),
        "bytes_per_s": sum(row["bytes_per_s"] for row in rows),
        "lines_per_s": sum(row["lines_per_s"] for row in rows),
    }


def _has(row: Mapping[str, Any], words: Sequence[str]) -> bool:
    labels = " ".join(f'{name}="{value}"' for name, value in row["labels"].items())
    text = f"{row['path']} {row['job']} {labels} {row['last_error']}".lower()
    return all(word in text for word in words)
