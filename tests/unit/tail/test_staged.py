"""Lines through stages: what comes out, what is kept back, and what a restart makes of that."""

from __future__ import annotations

import pytest
import yaml

from pipeline.config.stages import PipelineStage, named
from pipeline.tail.decoders import Decoders
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import LineLimits, TailOptions
from pipeline.tail.staged import StagedDecoder
from pipeline.tail.streams import PathStreams
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry
from tests.support.tailing import streams_of

STAMP = "2026-01-02T03:04:05."
MULTILINE = "- multiline: {firstline: '^START', max_wait_time: 3s}"
CRI_MULTILINE = "- cri: {}\n- multiline: {firstline: '^START'}"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.s = 1_767_323_045.0

    def now(self) -> float:
        return self.s

    def monotonic(self) -> float:
        return self.s

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("nobody sleeps here")


class Path:
    """One path with stages; `restart` makes a new decoder from what the position holds."""

    def __init__(self, stages: str = "", *, encoding: str = "", **limits) -> None:
        chosen = named(tuple(PipelineStage.model_validate(one) for one in yaml.safe_load(stages) or ()))
        self.telemetry = Telemetry()
        self.clock = Clock()
        self._decoders = Decoders(TailMetrics(self.telemetry), self.clock, TailOptions(limits=LineLimits(**limits)))
        self._streams = PathStreams({"app": "x", "filename": "/x"}, 8)
        self._target = LogTarget("job", "/x", "", (("app", "x"),), cri=False, stages=chosen, encoding=encoding)
        self.file = b""
        self.sent: list[str] = []
        self.streams: dict[str, list] = {}
        self.tenants: list[str] = []
        self.decoder = self._decoders.of(self._target, self._streams)

    def write(self, data: str | bytes) -> list[str]:
        """Append to the file and read it; the lines that went out."""
        data = data.encode() if isinstance(data, str) else data
        start = len(self.file)
        self.file += data
        return self._take(self.decoder.decode(data, start, 1))

    def _take(self, found) -> list[str]:
        fragments = [self._streams.fragment(lines) for lines in found]
        out = []
        for text, entries in streams_of([bytes(one.payload) for one in fragments]).items():
            self.streams.setdefault(text, []).extend(entries)
            out += [entry.line for entry in entries]
        self.tenants += [one.tenant for one in fragments]
        self.sent += out
        return out

    def flush_due(self) -> list[str]:
        return self._take(self.decoder.flush_due(self.clock.s))

    def flush(self) -> list[str]:
        return self._take(self.decoder.flush())

    def restart(self) -> None:
        """As after kill -9: only the position is known."""
        begin, held = self.decoder.pending_from(1), self.decoder.held(1)
        self.decoder = self._decoders.of(self._target, self._streams)
        if begin is not None:
            self.decoder.restore(self.file[begin:], begin, 1, held)
        assert (self.decoder.pending_from(1), self.decoder.held(1)) == (begin, held)

    def metric(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(name, labels) or 0.0


def test_labels_may_differ_line_by_line():
    path = Path("- json: {expressions: {level: }}\n- labels: {level: }")
    path.write('{"level":"a"}\n{"level":"b"}\n{"level":"a","n":1}\n')
    assert {text: [entry.line for entry in entries] for text, entries in path.streams.items()} == {
        '{app="x", filename="/x", level="a"}': ['{"level":"a"}', '{"level":"a","n":1}'],
        '{app="x", filename="/x", level="b"}': ['{"level":"b"}'],
    }


def test_lines_without_a_time_get_that_of_reading_one_after_the_other():
    path = Path("- static_labels: {a: b}")
    path.write("one\ntwo\n")
    path.write("three\n")
    (entries,) = path.streams.values()
    first = int(path.clock.s * 1e9)
    assert [entry.ts_ns for entry in entries] == [first, first + 1, first + 2]


def test_tenants_have_streams_of_their_own_and_no_label():
    path = Path("- json: {expressions: {t: }}\n- tenant: {source: t}")
    path.write('{"t":"a"}\n{"t":"b"}\n{}\n')
    assert sorted(path.tenants) == ["", "a", "b"]
    assert list(path.streams) == ['{app="x", filename="/x"}']


def test_structured_metadata_arrives():
    path = Path("- json: {expressions: {id: }}\n- structured_metadata: {id: , app: }")
    path.write('{"id":"ä7"}\n')
    ((text, (entry,)),) = path.streams.items()
    assert (text, entry.metadata) == ('{filename="/x"}', (("id", "ä7"), ("app", "x")))


def test_a_multiline_entry_holds_back_the_position_until_it_goes():
    path = Path(MULTILINE)
    assert path.write("head\nSTART a\n b\n") == ["head"]
    assert path.decoder.pending_from(1) == 5
    assert path.decoder.held(1) == ((5, 16),)
    assert path.write("START c\n") == ["START a\n b"]
    assert path.decoder.held(1) == ((16, 24),)


def test_a_multiline_entry_goes_when_nothing_came_for_so_long():
    path = Path(MULTILINE)
    path.write("START a\n")
    due_s = path.decoder.due_s
    assert due_s == path.clock.s + 3
    path.clock.s += 2.9
    assert path.flush_due() == []
    path.clock.s = due_s
    assert path.flush_due() == ["START a"]
    assert path.decoder.pending_from(1) is None
    assert path.decoder.due_s is None


@pytest.mark.parametrize("cut", range(12))
def test_a_restart_anywhere_sends_each_line_once(cut):
    lines = [
        f"{STAMP}1Z stdout F before\n", f"{STAMP}2Z stdout F START 1\n", f"{STAMP}3Z stderr F START x\n",
        f"{STAMP}4Z stdout P  1\n", f"{STAMP}5Z stderr P  x\n", f"{STAMP}6Z stdout F b\n", f"{STAMP}7Z stderr F y\n",
        f"{STAMP}8Z stdout F START 2\n", f"{STAMP}9Z stderr F  z\n", f"{STAMP}95Z stdout F START 3\n",
        f"{STAMP}96Z stderr F START w\n", f"{STAMP}97Z stdout F  end\n",
    ]  # fmt: skip
    whole = Path(CRI_MULTILINE)
    whole.write("".join(lines))
    whole.flush()
    path = Path(CRI_MULTILINE)
    for number, line in enumerate(lines):
        if number == cut:
            path.restart()
        path.write(line)
    path.flush()
    assert sorted(path.sent) == sorted(whole.sent)
    assert sorted(whole.sent) == ["START 1\n 1b", "START 2", "START 3\n end", "START w", "START x\n xy\n z", "before"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_restart_after_entries_went_for_length_or_time_sends_each_line_once(cut):
    lines = ["START a\n", " 1\n", " 2\n", " 3\n", " 4\n", " 5\n", "START b\n", " 6\n", " 7\n"]
    path = Path("- multiline: {firstline: '^START', max_lines: 3}")
    for number, line in enumerate(lines):
        if number == cut:
            path.restart()
        path.write(line)
        if number == 4:
            path.clock.s += 10
            path.flush_due()
    path.flush()
    assert "\n".join(path.sent).split("\n") == [line.rstrip("\n") for line in lines]


def test_what_went_for_its_time_is_not_held_again_after_a_restart():
    path = Path(CRI_MULTILINE)
    path.write(f"{STAMP}1Z stderr F START x\n{STAMP}2Z stdout F START a\n{STAMP}3Z stdout F  b\n")
    path.clock.s += 2
    path.write(f"{STAMP}4Z stderr F  y\n")
    path.clock.s += 2
    assert path.flush_due() == ["START a\n b"]
    path.restart()
    assert path.flush() == ["START x\n y"]


def test_a_multiline_entry_has_the_time_and_the_values_of_its_first_line():
    path = Path(MULTILINE + "\n- regex: {expression: 'START (?P<a>.)'}\n- labels: {a: }")
    path.write("START a\n b\n")
    path.write(" c\nSTART d\n e\nSTART f\n")
    (first, second) = path.streams.items()
    now = int(path.clock.s * 1e9)
    assert ('a="a"' in first[0], first[1][0].line, first[1][0].ts_ns) == (True, "START a\n b\n c", now)
    assert ('a="d"' in second[0], second[1][0].line, second[1][0].ts_ns) == (True, "START d\n e", now + 3)


def test_a_line_that_was_young_enough_is_not_too_old_after_a_restart():
    path = Path("- cri: {}\n- drop: {older_than: 1m}\n- multiline: {firstline: '^START'}")
    path.write(f"{STAMP}1Z stdout F START a\n")
    path.clock.s += 3600
    begin, held = path.decoder.pending_from(1), path.decoder.held(1)
    path.restart()
    assert (path.decoder.pending_from(1), path.decoder.held(1)) == (begin, held)
    assert path.flush() == ["START a"]


def test_counting_stages_do_not_count_lines_twice_after_a_restart():
    path = Path("- metrics: {n: {type: counter, config: {action: inc, match_all: true}}}\n" + MULTILINE)
    path.write("START a\nmore\n")
    path.restart()
    path.write("START b\n")
    assert b'promtail_custom_n{app="x",filename="/x"} 3.0' in path.telemetry.render()


def test_lines_too_long_are_dropped_and_counted_or_cut():
    path = Path(max_line_bytes=4)
    assert path.write("four\nfive5\n") == ["four"]
    assert path.metric("headrace_tail_dropped_lines_total", reason="line_too_long") == 1
    assert Path(max_line_bytes=4, truncate=True).write("four\nfive5\naaaé\n") == ["four", "five", "aaa"]
    assert Path("- static_labels: {a: b}", max_line_bytes=4, truncate=True).write("five5\naaaé\n") == ["five", "aaa"]


def test_beyond_the_rate_lines_are_dropped():
    path = Path(readline_rate_enabled=True, readline_rate=1.0, readline_burst=2)
    assert path.write("a\nb\nc\n") == ["a", "b"]
    assert path.metric("headrace_tail_dropped_lines_total", reason="global_rate_limiter_drop") == 1
    path.clock.s += 1
    assert path.write("d\ne\n") == ["d"]


def test_beyond_the_rate_reading_waits():
    path = Path(readline_rate_enabled=True, readline_rate=2.0, readline_burst=1, readline_rate_drop=False)
    assert path.write("a\nb\nc\n") == ["a", "b", "c"]
    assert path.decoder.resume_s == path.clock.s + 1.0
    stage = Path("- limit: {rate: 2, burst: 1}")
    assert stage.write("a\nb\n") == ["a", "b"]
    assert stage.decoder.resume_s == stage.clock.s + 0.5


@pytest.mark.parametrize("stages", ["", MULTILINE.replace("^START", ".")])
@pytest.mark.parametrize(
    "encoding", ["UTF-16LE", "UTF-16", "utf-16be", "windows-1252", "shift_jis", "utf-32le", "iso-8859-1"]
)
def test_encodings_become_utf8_whatever_the_blocks(encoding, stages):
    text = "first line\nzweite Zeile\n" if encoding != "UTF-16LE" else "ein Ċ ਅĀ Ω\nsecond\n"
    raw = text.encode(encoding)
    for size in (1, 3, 7, len(raw)):
        path = Path(stages, encoding=encoding)
        # The reader hands over whole lines by the byte 0x0A, and the rest of the file at its end.
        pieces = raw.split(b"\n")
        blocks = [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1] + b"\n"] if pieces[-1] else [])
        for number in range(0, len(blocks), size):
            path.write(b"".join(blocks[number : number + size]))
        path.flush()
        assert path.sent == text.splitlines()


def test_a_restart_inside_a_character_of_two_bytes():
    raw = "eins\nzwei\ndrei\n".encode("utf-16-le")
    path = Path(encoding="utf-16le")
    first = raw.index(b"\n") + 1
    path.write(raw[:first])
    path.restart()
    path.write(raw[first:] + b"\n")
    path.flush()
    assert path.sent == ["eins", "zwei", "drei"]


def test_a_line_that_is_not_in_its_encoding_says_so():
    path = Path(encoding="shift_jis")
    (line,) = path.write(b"\x81\n")
    assert "shift_jis" in line
    assert path.decoder.tally.take() == {"bad_encoding": 1}


def test_bytes_that_are_not_utf8_are_mended_before_stages():
    path = Path("- regex: {expression: '(?P<a>x.y)'}\n- labels: {a: }")
    path.write(b"x\xff\xfey\n")
    assert list(path.streams) == ['{a="x\ufffdy", app="x", filename="/x"}']
    cri = Path("- cri: {}\n- static_labels: {a: b}")
    assert cri.write(f"{STAMP}1Z stdout P ".encode() + b"a\xc3\n" + f"{STAMP}2Z stdout F ".encode() + b"\xa4b\n") == [
        "aäb"
    ]


def test_a_fault_in_a_stage_does_not_stop_the_file(monkeypatch):
    path = Path("- static_labels: {a: b}")
    assert isinstance(path.decoder, StagedDecoder)
    push = path.decoder._pipeline.push

    def failing(entry):
        if entry.line == b"bad":
            raise RuntimeError("unforeseen")
        push(entry)

    path.decoder._pipeline.push = failing
    assert sorted(path.write("good\nbad\nbetter\n")) == ["bad", "better", "good"]
    assert path.decoder.tally.stage_failed == 1
