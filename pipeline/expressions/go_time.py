"""Go's time layouts (`2006-01-02 15:04:05.000 -0700`) and Promtail's named formats, to Unix nanoseconds.

A layout becomes one regular expression without backtracking, and what each group means. As in Go: names of months and
days in any case, the day's name is not checked, a fraction may follow the seconds although the layout has none, and
digits past the ninth are cut off.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

NS = 1_000_000_000
NAMED = {
    "ANSIC": "Mon Jan _2 15:04:05 2006",
    "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
    "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "RFC3339": "2006-01-02T15:04:05Z07:00",
    "RFC3339Nano": "2006-01-02T15:04:05.999999999Z07:00",
}
_RFC3339 = frozenset(("RFC3339", "RFC3339Nano"))

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_MONTHS = "|".join(name[:3] for name in _MONTHS)
_ABBREVIATION = r"UTC|ChST|MeST|GMT(?:[+-]\d{1,2})?+|[A-Z]{4}T|[A-Z]{3}T|WITA|[A-Z]{3}|[+-]\d\d(?:\d\d)?+"
# In the order in which Go looks for them. Then: what it matches, and what the group is.
_CHUNKS: tuple[tuple[str, str, str], ...] = (
    (r"January", "(?i:" + "|".join(_MONTHS) + ")", "month_name"),
    (r"Jan(?![a-z])", f"(?i:{_SHORT_MONTHS})", "month_name"),
    (r"Monday", "(?i:" + "|".join(_DAYS) + ")", ""),
    (r"Mon(?![a-z])", "(?i:" + "|".join(name[:3] for name in _DAYS) + ")", ""),
    (r"MST", _ABBREVIATION, "abbreviation"),
    (r"002", r"\d{3}", "year_day"),
    (r"01", r"\d\d", "month"),
    (r"02", r"\d\d", "day"),
    (r"03", r"\d\d", "hour12"),
    (r"04", r"\d\d", "minute"),
    (r"05", r"\d\d", "second"),
    (r"06", r"\d\d", "short_year"),
    (r"15", r"\d{1,2}+", "hour"),
    (r"1", r"\d{1,2}+", "month"),
    (r"2006", r"\d{4}", "year"),
    (r"2", r"\d{1,2}+", "day"),
    (r"__2", r"[ \d]{2}\d", "year_day"),
    (r"_2(?!006)", r" ?+\d{1,2}+", "day"),
    (r"3", r"\d{1,2}+", "hour12"),
    (r"4", r"\d{1,2}+", "minute"),
    (r"5", r"\d{1,2}+", "second"),
    (r"PM", "PM|AM", "half"),
    (r"pm", "pm|am", "half"),
    (r"-070000", r"[+-]\d{6}", "offset"),
    (r"-07:00:00", r"[+-]\d\d:\d\d:\d\d", "offset"),
    (r"-0700", r"[+-]\d{4}", "offset"),
    (r"-07:00", r"[+-]\d\d:\d\d", "offset"),
    (r"-07", r"[+-]\d\d", "offset"),
    (r"Z070000", r"Z|[+-]\d{6}", "offset"),
    (r"Z07:00:00", r"Z|[+-]\d\d:\d\d:\d\d", "offset"),
    (r"Z0700", r"Z|[+-]\d{4}", "offset"),
    (r"Z07:00", r"Z|[+-]\d\d:\d\d", "offset"),
    (r"Z07", r"Z|[+-]\d\d", "offset"),
    (r"[.,]0+(?!\d)", "", "fraction0"),
    (r"[.,]9+(?!\d)", "", "fraction9"),
)
_LAYOUT = re.compile("|".join(f"({pattern})" for pattern, _, _ in _CHUNKS))


def layout_of(name: str) -> str:
    """The layout that a named format stands for; any other text is a layout itself."""
    return NAMED.get(name, name)


def parser(name: str, location: str | None, now_s: Callable[[], float]) -> Callable[[str], int]:
    """A function from text to Unix nanoseconds, which raises ValueError, for a format of the `timestamp` stage.

    `location`: an IANA zone for layouts of one's own that say no zone. Raises ValueError for one that is not known.
    """
    zone = _zone(location)
    numeric = _NUMERIC.get(name)
    if numeric is not None:
        return numeric
    if name in _RFC3339:
        return _rfc3339(_Layout(NAMED[name]).parse)
    if name in NAMED:
        return _Layout(NAMED[name]).parse
    layout = _Layout(name, zone)
    if "06" not in name:
        return lambda text: layout.parse_without_year(text, now_s())
    return layout.parse


def _zone(location: str | None) -> ZoneInfo | None:
    if not location or location == "UTC":
        return None
    try:
        return ZoneInfo("/etc/localtime" if location == "Local" else location)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{location!r} is no time zone that this machine knows") from None


def _rfc3339(parse: Callable[[str], int]) -> Callable[[str], int]:
    """The same, quick for what most programs write: in UTC, and often of the second of the line before."""
    second = lru_cache(64)(parse)

    def quick(text: str) -> int:
        fraction = text[19:-1]
        if not fraction:
            return second(text)
        if text[-1] == "Z" and fraction[0] == "." and fraction.isascii() and fraction[1:].isdigit():
            return second(text[:19] + "Z") + int(fraction[1:10].ljust(9, "0"))
        return parse(text)

    return quick


# --- numbers ---------------------------------------------------------------------------------------------------------

_INT = re.compile(r"[+-]?\d{1,19}", re.ASCII)


def _int(text: str) -> int:
    if _INT.fullmatch(text) is None or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def _unix(text: str) -> int:
    if text.count(".") != 1:
        return _int(text) * NS
    seconds, _, fraction = text.partition(".")
    return _int(seconds) * NS + int(float(_int(fraction)) * 10.0 ** (9 - len(fraction)))


_NUMERIC: dict[str, Callable[[str], int]] = {
    "Unix": _unix,
    "UnixMs": lambda text: _int(text) * 1_000_000,
    "UnixUs": lambda text: _int(text) * 1000,
    "UnixNs": _int,
}


# --- layouts ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Moment:
    """What a text says of a moment."""

    year: int | None = None
    month: int = 1
    day: int = 1
    year_day: int = 0
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanos: int = 0
    afternoon: bool | None = None
    offset_s: int | None = None
    abbreviation: str = ""

    def hours(self) -> int:
        if self.afternoon and self.hour < 12:
            return self.hour + 12
        return 0 if self.afternoon is False and self.hour == 12 else self.hour


class _Layout:
    """One layout, compiled."""

    def __init__(self, layout: str, zone: ZoneInfo | None = None) -> None:
        self._zone = zone
        self._meanings: list[str] = []
        parts: list[str] = []
        position = 0
        matches = list(_LAYOUT.finditer(layout))
        for index, match in enumerate(matches):
            parts.append(_literal(layout[position : match.start()]))
            position = match.end()
            following = matches[index + 1] if index + 1 < len(matches) else None
            fraction_next = following is not None and following.start() == position and following[0][0] in ".,"
            parts.append(self._chunk(match, fraction_follows=fraction_next))
        parts.append(_literal(layout[position:]))
        self._form = re.compile("".join(parts), re.ASCII | re.S)

    def _chunk(self, match: re.Match[str], *, fraction_follows: bool) -> str:
        _, pattern, meaning = _CHUNKS[(match.lastindex or 1) - 1]
        if meaning == "fraction0":
            self._meanings.append("fraction")
            return rf"([.,]\d{{{len(match[0]) - 1}}})"
        if meaning == "fraction9":
            self._meanings.append("fraction")
            return r"([.,]\d++)?+"
        if not meaning:
            return f"(?:{pattern})"
        self._meanings.append(meaning)
        if meaning == "second" and not fraction_follows:
            self._meanings.append("fraction")
            return rf"({pattern})([.,]\d++)?+"
        return f"({pattern})"

    def parse(self, text: str) -> int:
        """Unix nanoseconds. Raises ValueError."""
        moment = self._read(text)
        return self._nanoseconds(moment, 0 if moment.year is None else moment.year)

    def parse_without_year(self, text: str, now_s: float) -> int:
        """As `parse`, in the year that brings the moment near `now_s`: Promtail's rule for layouts without one."""
        moment = self._read(text)
        if moment.year:
            raise ValueError(f"{text!r} has a year")
        now = datetime.fromtimestamp(now_s, UTC)
        year = now.year
        if moment.month == 12 and now.month == 1:
            year -= 1
        elif moment.month == 1 and now.month == 12:
            year += 1
        return self._nanoseconds(moment, year, lenient=True)

    def _read(self, text: str) -> _Moment:
        match = self._form.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} has another form")
        moment = _Moment()
        for meaning, value in zip(self._meanings, match.groups(), strict=True):
            if value is not None:
                _SETTERS[meaning](moment, value)
        return moment

    def _nanoseconds(self, moment: _Moment, year: int, *, lenient: bool = False) -> int:
        hour = moment.hours()
        if hour > 23 or moment.minute > 59 or moment.second > 59:
            raise ValueError("no such time of day")
        if moment.year_day:
            days = _days(year, 1, 1) + moment.year_day - 1
        else:
            if not lenient:
                _check_day(year, moment.month, moment.day)
            days = _days(year, moment.month, moment.day)
        seconds = days * 86400 + hour * 3600 + moment.minute * 60 + moment.second
        if moment.offset_s is not None:
            seconds -= moment.offset_s
        elif self._zone is not None:
            local = _in_zone(seconds, self._zone)
            if moment.abbreviation in ("", _name_at(local, self._zone)):
                seconds = local
        return seconds * NS + moment.nanos


def _literal(text: str) -> str:
    """Spaces of a layout match any run of spaces."""
    return "".join("(?: ++|$)" if part.isspace() and set(part) == {" "} else re.escape(part)
                   for part in re.split(r"( +)", text) if part)  # fmt: skip


@lru_cache(512)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the calendar of today, also before it began; a day past the month's end goes on."""
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def _check_day(year: int, month: int, day: int) -> None:
    after = _days(year + (month == 12), month % 12 + 1, 1)
    if not 1 <= day <= after - _days(year, month, 1):
        raise ValueError("day out of range")


def _in_zone(seconds: int, zone: ZoneInfo) -> int:
    """Unix seconds of a clock on the wall; twice or never shown times are taken as Go takes them."""
    first = _offset_at(seconds, zone)
    return seconds - _offset_at(seconds - first, zone)


@lru_cache(512)
def _offset_at(seconds: int, zone: ZoneInfo) -> int:
    try:
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
    except (OverflowError, ValueError, OSError):
        return 0
    return int(offset.total_seconds()) if offset is not None else 0


def _name_at(seconds: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(seconds, zone).tzname() or ""


def _set_month(moment: _Moment, value: str) -> None:
    moment.month = int(value)
    if not 1 <= moment.month <= 12:
        raise ValueError("month out of range")


def _set_month_name(moment: _Moment, value: str) -> None:
    moment.month = next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(value.lower()))


def _set_short_year(moment: _Moment, value: str) -> None:
    moment.year = int(value) + (1900 if int(value) >= 69 else 2000)


def _set_hour12(moment: _Moment, value: str) -> None:
    moment.hour = int(value)
    if moment.hour > 12:
        raise ValueError("hour out of range")


def _set_year_day(moment: _Moment, value: str) -> None:
    moment.year_day = int(value)
    if not 1 <= moment.year_day <= 366:
        raise ValueError("day out of range")


def _set_offset(moment: _Moment, value: str) -> None:
    if value == "Z":
        moment.offset_s = 0
        return
    digits = value[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 24 or minutes > 60 or seconds > 60:
        raise ValueError("time zone out of range")
    offset = hours * 3600 + minutes * 60 + seconds
    moment.offset_s = -offset if value[0] == "-" else offset


def _set_abbreviation(moment: _Moment, value: str) -> None:
    """Go takes an abbreviation for UTC, unless the location knows it; UTC is UTC everywhere."""
    moment.abbreviation = value
    if value == "UTC":
        moment.offset_s = 0


def _set_number(name: str) -> Callable[[_Moment, str], None]:
    return lambda moment, value: setattr(moment, name, int(value))


_SETTERS: dict[str, Callable[[_Moment, str], None]] = {
    **{name: _set_number(name) for name in ("year", "day", "hour", "minute", "second")},
    "month": _set_month,
    "month_name": _set_month_name,
    "short_year": _set_short_year,
    "hour12": _set_hour12,
    "year_day": _set_year_day,
    "offset": _set_offset,
    "abbreviation": _set_abbreviation,
    "half": lambda moment, value: setattr(moment, "afternoon", value.lower() == "pm"),
    "fraction": lambda moment, value: setattr(moment, "nanos", int(value[1:10].ljust(9, "0"))),
}
