"""A target: where it is, what its series are labelled with, when it is scraped. Rules: Prometheus's target.go."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from xxhash import xxh3_64_intdigest

from pipeline.config.units import format_duration, parse_duration
from topics import keys, labels
from topics.errors import HeadraceError, InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.relabel.program import Program

ADDRESS, SCHEME, METRICS_PATH = "__address__", "__scheme__", "__metrics_path__"
INTERVAL, TIMEOUT, PARAM = "__scrape_interval__", "__scrape_timeout__", "__param_"
NATIVE = "__scrape_native_histograms__"
CLASSIC = "__always_scrape_classic_histograms__"
CUSTOM_BUCKETS = "__convert_classic_histograms_to_nhcb__"
_FLAGS = {
    CUSTOM_BUCKETS: "convert classic histograms to nhcb",
    CLASSIC: "always scrape classic histograms",
    NATIVE: "scrape native histograms",
}
META, RESERVED = "__meta_", "__"
# As Go's strconv.ParseBool reads them.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_PATH_SAFE = "/$&+,:;=@"  # what Go leaves as it is in a path


class BadTarget(HeadraceError):
    """Discovered and kept by the rules, but not to be scraped; the text says why."""


@dataclass(frozen=True)
class Target:
    """`labels`: all after relabelling, without ``__meta_*``; `discovered`: all before. Equal when scraped alike."""

    labels: labels.LabelPairs
    params: tuple[tuple[str, tuple[str, ...]], ...]
    discovered: Mapping[str, str]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and other.labels == self.labels and other.url == self.url

    def __hash__(self) -> int:
        return self.hash

    @cached_property
    def public(self) -> dict[str, str]:
        """What every series of the target is labelled with, sorted by name."""
        return {name: value for name, value in self.labels if not name.startswith(RESERVED)}

    @cached_property
    def key(self) -> bytes:
        """The canonical form of `public`: who has it has the same series."""
        return keys.canonical(tuple(self.public.items()))

    @cached_property
    def text(self) -> str:
        """What a reader searches in, in small letters: the URL and the labels of the series."""
        labels_text = " ".join(f'{name}="{value}"' for name, value in self.public.items())
        return f"{self.url} {labels_text}".lower()

    @cached_property
    def url(self) -> str:
        """Where it is scraped; `params` and ``__param_*`` are its query, sorted by name."""
        found = dict(self.labels)
        query = {name: list(values) for name, values in self.params}
        for name, value in self.labels:
            if name.startswith(PARAM):
                query.setdefault(name.removeprefix(PARAM), [""])[:1] = [value]
        path = quote(found.get(METRICS_PATH, ""), safe=_PATH_SAFE)
        slash = "" if path.startswith("/") else "/"
        encoded = urlencode(sorted(query.items()), doseq=True)
        url = f"{found.get(SCHEME, 'http')}://{found[ADDRESS]}{slash}{path}"
        return f"{url}?{encoded}" if encoded else url

    @cached_property
    def hash(self) -> int:
        """The same in every process, for ever; decides when within the interval the target is scraped."""
        return xxh3_64_intdigest(keys.canonical(self.labels) + self.url.encode())

    def flag(self, name: str, otherwise: bool) -> bool:
        """What the label `NATIVE`, `CLASSIC` or `CUSTOM_BUCKETS` says; `otherwise` where rules have taken it away."""
        value = dict(self.labels).get(name, "")
        return value in _TRUE if value else otherwise

    @cached_property
    def interval_s(self) -> float:
        """Seconds from one scrape to the next."""
        return parse_duration(dict(self.labels)[INTERVAL])

    @cached_property
    def timeout_s(self) -> float:
        """Seconds that a scrape may take."""
        return parse_duration(dict(self.labels)[TIMEOUT])

    def offset_s(self, now_s: float, seed: int) -> float:
        """Seconds from `now_s` (Unix) to the target's next turn, which stands at a fixed place in the interval."""
        interval_ns = round(self.interval_s * 1e9)
        base = interval_ns - round(now_s * 1e9) % interval_ns
        wait = base + (self.hash ^ seed) % interval_ns
        return (wait - interval_ns if wait > interval_ns else wait) / 1e9


def offset_seed(host: str, external_labels: Mapping[str, str]) -> int:
    """Lets two scrapers of the same targets have their turns at different times."""
    return xxh3_64_intdigest(host.encode() + keys.canonical(labels.make(external_labels)))


def discovered_labels(config: ScrapeConfig, own: Mapping[str, str], group: Mapping[str, str]) -> dict[str, str]:
    """The labels that relabelling begins with: the target's, then the group's, then what the job says."""
    found = {name: value for name, value in {**group, **own}.items() if value}
    defaults = {
        "job": config.job_name,
        INTERVAL: format_duration(config.scrape_interval),
        TIMEOUT: format_duration(config.scrape_timeout),
        METRICS_PATH: config.metrics_path,
        SCHEME: config.scheme,
        CUSTOM_BUCKETS: _go(config.convert_classic_histograms_to_nhcb),
        CLASSIC: _go(config.always_scrape_classic_histograms),
        NATIVE: _go(config.scrape_native_histograms),
    }
    defaults |= {f"{PARAM}{name}": values[0] for name, values in config.params.items() if values}
    for name, value in defaults.items():
        if value:
            found.setdefault(name, value)
    return found


def make_target(config: ScrapeConfig, relabel: Program, discovered: Mapping[str, str]) -> Target | None:
    """The target of these labels; None when the rules drop it. Raises BadTarget."""
    found = dict(discovered)
    if not relabel.empty:
        kept, _ = relabel.run(found)
        if kept is None:
            return None
        found = kept
    address = found.get(ADDRESS, "")
    if not address:
        raise BadTarget("no address")
    if "/" in address:
        raise BadTarget(f'"{address}" is not a valid hostname')
    _check_times(found.get(INTERVAL, ""), found.get(TIMEOUT, ""))
    _check_flags(found)
    found = {name: value for name, value in found.items() if not name.startswith(META)}
    found.setdefault("instance", address)
    try:
        pairs = labels.make(found)
    except InvalidLabels as error:
        raise BadTarget(str(error)) from None
    return Target(pairs, tuple(config.params.items()), discovered)


def targets_of(
    config: ScrapeConfig, relabel: Program, group: TargetGroup
) -> Iterator[tuple[dict[str, str], Target | BadTarget | None]]:
    """Each target of a group: its discovered labels, and what became of it (None: dropped by the rules)."""
    for own in group.targets:
        discovered = discovered_labels(config, own, group.labels)
        try:
            yield discovered, make_target(config, relabel, discovered)
        except BadTarget as error:
            yield discovered, error


def _check_times(interval: str, timeout: str) -> None:
    interval_s, timeout_s = _seconds(interval, "interval"), _seconds(timeout, "timeout")
    if timeout_s > interval_s:
        raise BadTarget(f'scrape timeout cannot be greater than scrape interval ("{timeout}" > "{interval}")')


def _check_flags(found: Mapping[str, str]) -> None:
    for name, what in _FLAGS.items():
        value = found.get(name, "")
        if value and value not in _TRUE | _FALSE:
            raise BadTarget(f'error parsing {what}: strconv.ParseBool: parsing "{value}": invalid syntax')


def _go(value: bool) -> str:
    return "true" if value else "false"


def _seconds(text: str, what: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise BadTarget(f'error parsing scrape {what}: not a valid duration: "{text}"') from None
    if seconds == 0:
        raise BadTarget(f"scrape {what} cannot be 0")
    return seconds
