"""Envoy's access-log format strings: text with operators such as `%REQ(X-REQUEST-ID?:PATH):10%`, and lines taken apart
by them.

Fields are named as Istio's JSON encoding names them. A field ends where the literal after it first stands: a quoted
text may hold quotes, as long as it does not hold `" "`. Most fields do not even hold the first character of that
literal: lines of such fields match one expression. The time that any line takes grows with its length and no faster,
whatever a client put into it: the expression never tries a second way, nor does what comes after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPERATOR = re.compile(r"%(?:(%)|([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::(\d+))?%)")
_NOT_WORD = re.compile(r"[^a-z0-9_]+")
_NAMES = {
    "REQ(:METHOD)": "method",
    "REQ(:PATH)": "path",
    "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)": "path",
    "REQ(:AUTHORITY)": "authority",
    "REQ(X-FORWARDED-FOR)": "x_forwarded_for",
    "REQ(USER-AGENT)": "user_agent",
    "REQ(X-REQUEST-ID)": "request_id",
    "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)": "upstream_service_time",
    "UPSTREAM_CLUSTER_RAW": "upstream_cluster",
}
_REQUEST = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
)
_TRAFFIC = (
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
ENVOY = _REQUEST + _TRAFFIC
"""Envoy's own default."""
ISTIO = (
    _REQUEST
    + '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" '
    + _TRAFFIC
    + " %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%"
)
"""Istio's default since 1.9."""


@dataclass(frozen=True, slots=True)
class AccessFormat:
    """A compiled format. `names`: the fields in their order; `quick`: the expression for most lines; `head` and `tail`:
    what stands before and after the fields; `between`: the literals between them, each with how often it comes in a
    row.
    """

    text: str
    names: tuple[str, ...]
    quick: re.Pattern[str]
    head: str
    between: tuple[tuple[str, int], ...]
    tail: str

    def values(self, line: str) -> Sequence[str] | None:
        """The values of a line's fields, in the order of `names`, `-` and empty ones included; None for a line of
        another format.
        """
        match = self.quick.fullmatch(line)
        return self._patient(line) if match is None else match.groups()

    def _patient(self, line: str) -> list[str] | None:
        if not line.startswith(self.head) or not line.endswith(self.tail):
            return None
        rest = line[len(self.head) :]
        found: list[str] = []
        for literal, count in self.between:
            *some, rest = rest.split(literal, count)
            if len(some) != count:
                return None
            found += some
        if len(rest) < len(self.tail):  # they overlap
            return None
        found.append(rest[: len(rest) - len(self.tail)])
        return found


def compiled(text: str) -> AccessFormat:
    """A format string, compiled. Raises ValueError for one that cannot be read back."""
    text = text.rstrip("\n")
    literals, names = _parsed(text)
    between = tuple((literal, len(list(run))) for literal, run in groupby(literals[1:-1]))
    fields = [f"([^{re.escape(one[0])}]*+){re.escape(one)}" if one else "(.*+)" for one in literals[1:]]
    quick = re.compile(re.escape(literals[0]) + "".join(fields), re.S)
    return AccessFormat(text, names, quick, literals[0], between, literals[-1])


def _parsed(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The literals around the operators, and the operators' names."""
    literals = [""]
    names: list[str] = []
    position = 0
    for match in _OPERATOR.finditer(text):
        literals[-1] += _literal(text[position : match.start()])
        position = match.end()
        if match[1]:
            literals[-1] += "%"
            continue
        if names and not literals[-1]:
            raise ValueError(f"nothing stands between the operators before {match[0]}: a line could not be taken apart")
        names.append(_unused(_name(match[2], match[3]), names))
        literals.append("")
    literals[-1] += _literal(text[position:])
    if not names:
        raise ValueError("a format needs an operator, such as %RESPONSE_CODE%")
    return literals, tuple(names)


def _literal(text: str) -> str:
    if "%" in text:
        raise ValueError(f"a % that begins no operator in {text!r}; a percent sign is %%")
    return text


def _name(command: str, arguments: str | None) -> str:
    whole = command if arguments is None else f"{command}({arguments.upper()})"
    known = _NAMES.get(whole)
    if known is not None:
        return known
    if arguments is None or command.startswith("START_TIME"):
        return command.lower()
    if command == "REQ":
        return _word(arguments)
    return f"{command.lower()}_{_word(arguments)}"


def _word(arguments: str) -> str:
    return _NOT_WORD.sub("_", arguments.partition("?")[0].lower()).strip("_")


def _unused(name: str, names: list[str]) -> str:
    """A field that stands twice gets a number."""
    made, count = name, 2
    while made in names:
        made, count = f"{name}_{count}", count + 1
    return made
