# ruff: noqa: E501 — a document is read more easily on one line
"""The documents that Promtail's own stages were run over: stages as YAML, and lines with labels and times.

`python tests/data/stages/documents.py | stagevectors > tests/data/stages/vectors.json` records them anew; the program
is that of tests/peers/stagevectors (`go build .`).
"""

from __future__ import annotations

import json
import sys

BASE = {"filename": "/var/log/a.log", "app": "shop"}
TS = 1_767_323_045_000_000_000


def document(name, stages, *lines, labels=None):
    rows = []
    for index, line in enumerate(lines):
        text, own = line if isinstance(line, tuple) else (line, labels or BASE)
        rows.append({"ts_ns": TS + index, "line": text, "labels": own})
    return {"name": name, "stages": stages, "lines": rows}


JSON_LINES = (
    '{"level":"warn","msg":"a \\"b\\" <c>","n":5,"f":1.5,"big":12345678901234567890,"e":1e21,"tiny":1e-7,"ok":true,'
    '"nil":null,"user":{"name":"bob","roles":["a","b"]},"list":[1,2.0,"x"],"time":"2026-01-02T03:04:05.123456789Z"}',
    '{"level":"info"}',
    "not json",
    "[1,2]",
    "null",
    '"text"',
    '{"a":1} trailing',
    "",
    '{"level":"ü","msg":""}',
)
CLF = (
    '11.11.11.11 - frank [25/Jan/2000:14:00:01 -0500] "GET /1986.js HTTP/1.1" 200 932 "-" "Mozilla/5.0 (Windows; U)"',
    '11.11.11.12 - - [29/Feb/2024:23:59:59 +0000] "POST / HTTP/2" 503 0 "-" "curl/8"',
    "nothing of the kind",
)
REGEX = (
    "- regex:\n    expression: '^(?P<ip>\\S+) (?P<identd>\\S+) (?P<user>\\S+) \\[(?P<timestamp>[\\w:/]+\\s[+\\-]\\d{4})\\] "
    '"(?P<action>\\S+)\\s?(?P<path>\\S+)?\\s?(?P<protocol>\\S+)?" (?P<status>\\d{3}|-) (?P<size>\\d+|-)\'\n'
)
LOGFMT = (
    'time=2012-11-01T22:08:41+00:00 app=loki level=WARN duration=125 message="this is a log line" extra="user=foo"',
    'a=1 b c= d="" e="x\\ty\\"z" f=g',
    'a=1 "broken" level=late',
    "a=b=c level=late",
    "=x level=late",
    'level=early a="open',
    "level=ä unit=µs",
    "",
)
TIMES = {
    "ANSIC": ("Mon Jan  2 15:04:05 2006", "Fri Jan 2 15:04:05 2026", "mon jan 12 15:04:05 2006", "Mon Jan 32 15:04:05 2006"),
    "UnixDate": ("Mon Jan  2 15:04:05 MST 2006", "Mon Jan  2 15:04:05 UTC 2006", "Mon Jan  2 15:04:05 CEST 2006"),
    "RubyDate": ("Mon Jan 02 15:04:05 -0700 2006", "Mon Jan 2 15:04:05 -0700 2006"),
    "RFC822": ("02 Jan 06 15:04 MST", "02 Jan 70 15:04 UTC", "2 Jan 06 15:04 MST", "02 Jan 06 15:04 GMT+3"),
    "RFC822Z": ("02 Jan 06 15:04 -0700",),
    "RFC850": ("Monday, 02-Jan-06 15:04:05 MST", "Tuesday, 02-Jan-06 15:04:05 MST"),
    "RFC1123": ("Mon, 02 Jan 2006 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 GMT"),
    "RFC1123Z": ("Mon, 02 Jan 2006 15:04:05 -0700",),
    "RFC3339": (
        "2006-01-02T15:04:05Z", "2006-01-02T15:04:05.5Z", "2006-01-02T15:04:05+07:30", "2006-01-02 15:04:05Z",
        "2006-01-02T24:04:05Z", "2006-02-29T15:04:05Z", "2006-01-02T15:04:60Z", "2006-1-2T15:04:05Z",
        "2006-01-02T15:04:05,25Z", "2006-01-02T15:04:05z",
    ),
    "RFC3339Nano": (
        "2006-01-02T15:04:05.999999999Z", "2006-01-02T15:04:05.1234567891234Z", "2006-01-02T15:04:05-00:00",
        "2006-01-02T15:04:05.Z", "1969-12-31T23:59:59Z",
    ),
    "Unix": ("1136214245", "1136214245.5", "1136214245.123456789", "-5", "+5", "1.2.3", "1e9", "", "99999999999999999999"),
    "UnixMs": ("1136214245123", "x"),
    "UnixUs": ("1136214245123456",),
    "UnixNs": ("1136214245123456789", " 5"),
    "2006-01-02 15:04:05": ("2026-03-29 02:30:00", "2026-03-29 02:30:00.25", "2026-3-29 02:30:00", "2026-03-29  02:30:00"),
    "2006-01-02 15:04:05.000": ("2026-03-29 02:30:00.250", "2026-03-29 02:30:00.25", "2026-03-29 02:30:00"),
    "2006-01-02 15:04:05,999": ("2026-03-29 02:30:00,25", "2026-03-29 02:30:00", "2026-03-29 02:30:00.1"),
    "02/Jan/2006:15:04:05 -0700": ("10/Oct/2000:13:55:36 -0700", "10/oct/2000:13:55:36 +0000"),
    "3:04PM 1/2/06": ("3:04PM 1/2/06", "12:00AM 10/12/26", "12:59PM 1/2/69", "13:00PM 1/2/06", "3:04pm 1/2/06"),
    "2006.002": ("2026.032", "2024.366", "2026.000"),
    "Jan 2 2006 15h04": ("Dec 31 2026 5h07", "Dec 31 2026 05h7", "Decem 31 2026 05h07"),
    "20060102150405": ("20260102030405",),
    "2006-01-02T15:04:05Z0700": ("2026-01-02T03:04:05+0130", "2026-01-02T03:04:05Z"),
    "Monday January _2 06 15:04:05 MST": ("Friday February  9 26 01:02:03 CET",),
}  # fmt: skip
TEMPLATES = (
    "{{ .Value }}", "{{ .Value | ToUpper }}", '{{ Replace .Value "o" "0" -1 }}', '{{ Replace .Value "o" "0" 1 }}',
    '{{ Trim .Value "hd" }}', '{{ TrimLeft .Value "h" }}{{ TrimRight .Value "d" }}', '{{ TrimPrefix .Value "hello" }}',
    '{{ TrimSuffix .Value "world" | TrimSpace }}', '{{ Hash "salt" .Value }}', '{{ Sha2Hash "salt" .Value }}',
    '{{ regexReplaceAll "(l+)" .Value "<${1}>" }}', '{{ regexReplaceAllLiteral "l" .Value "$1" }}',
    '{{ if eq .level "warn" }}W{{ else if eq .level "x" }}X{{ else }}O{{ end }}', "{{ .missing }}",
    '{{ .missing | default "d" }}', "{{ .missing | ToUpper }}", "{{ .Entry }}", "{{ .n }}{{ .f }}{{ .ok }}",
    '{{ printf "%s|%5s|%-5s|%q|%v" .Value .level .level .level .n }}', '{{ printf "%d %05d %x %t" 7 7 255 true }}',
    '{{ printf "%.2f %5.1f %g" 1.5 2.25 0.1 }}', '{{ printf "%d" .Value }}',
    '{{- range $i, $e := splitList " " .Value }}{{ $i }}:{{ $e }},{{ end -}}',
    '{{ $x := .Value | trunc 3 }}{{ $x }}{{ $x = "z" }}{{ $x }}', "{{/* c */}}a {{- \"b\" -}} c",
    '{{ with .level }}<{{ . }}>{{ end }}{{ with .missing }}x{{ else }}none{{ end }}',
    '{{ (splitList " " .Value) | first | quote }}', '{{ add 1 .n | mul 2 }} {{ sub 5 3 }} {{ div 7 2 }} {{ mod 7 4 }}',
    '{{ int "12" }} {{ float64 "1.5" }} {{ max 1 5 3 }} {{ min 4 2 }} {{ round 3.14159 2 }} {{ floor 2.7 }} {{ ceil 2.1 }}',
    '{{ .Value | upper | lower | title }} {{ trimAll "h" .Value }} {{ substr 1 4 .Value }} {{ abbrev 7 .Value }}',
    '{{ contains "wor" .Value }} {{ hasPrefix "he" .Value }} {{ hasSuffix "ld" .Value }} {{ repeat 2 "ab" }}',
    '{{ snakecase "FirstName" }} {{ kebabcase "FirstName" }} {{ camelcase "first_name" }}',
    '{{ ternary "a" "b" true }} {{ empty "" }} {{ coalesce "" "c" }} {{ .level | empty | not }}',
    '{{ b64enc .Value }} {{ b64dec "aGk=" }} {{ sha256sum .Value }} {{ sha1sum .Value }}',
    '{{ regexMatch "^h" .Value }} {{ regexFind "o.*" .Value }} {{ join "-" (regexFindAll "o" .Value -1) }}',
    '{{ len .Value }} {{ index (splitList " " .Value) 1 }} {{ slice (list 1 2 3) 1 3 }}', '{{ slice .Value 1 }}',
    "{{ and .level .missing }} {{ or .missing .level }} {{ not .level }}", "{{ lt 1 2 }} {{ ge 2 2 }} {{ ne .level .n }}",
    '{{ html "<a>" }} {{ urlquery "a b&c" }} {{ print 1 2 "x" 3 4 }} {{ println "y" }}',
    '{{ 1.5 }} {{ 1e30 }} {{ 0x1F }} {{ 100000000000000000000000.0 }} {{ 0.00001 }} {{ true }}',
    '{{ list 1 2 "a" }} {{ dict "k" 1 }} {{ (dict "k" "v").k }} {{ uniq (list 1 1 2) }} {{ has 2 (list 1 2) }}',
    '{{ toJson (dict "b" "<x>" "a" 1) }} {{ (fromJson "{\\"q\\":1}").q }}', "{{ indent 2 .Value }}{{ nindent 2 .Value }}",
    '{{ nospace .Value }} {{ initials .Value }} {{ cat 1 "b" }} {{ squote "x" }} {{ untitle "ABC Def" }}',
    "{{ .Value.x }}", "{{ .level.x.y }}", "plain", "", "{{ if .missing }}x{{ end }}",
)  # fmt: skip
BAD = (
    "- json: {}", "- json:\n    expressions: {}", "- json:\n    expressions: {a: 'b['}",
    "- json:\n    expressions: {a: b}\n    source: ''", "- logfmt:\n    mapping: {}", "- regex:\n    expression: ''",
    "- regex:\n    expression: '(?P<a'", "- replace:\n    expression: ''", "- labels:\n    a-b: x", "- labeldrop: []",
    "- labelallow: []", "- output: {}", "- timestamp: {source: a}", "- timestamp: {format: Unix}",
    "- timestamp: {source: a, format: '2006', location: 'Mars/Olympus'}",
    "- timestamp: {source: a, format: Unix, action_on_failure: cry}", "- template: {template: x}",
    "- template: {source: a, template: '{{ nope }}'}", "- template: {source: a, template: '{{ .a'}",
    "- template: {source: a, template: '{{ if .a }}'}",
    "- tenant: {}", "- tenant: {value: a, label: b}", "- drop: {}", "- drop: {value: a}",
    "- drop: {source: a, value: a, expression: b}", "- drop: {expression: '('}", "- limit: {rate: 0, burst: 1}",
    "- limit: {rate: 1, burst: 1, by_label_name: a}", "- sampling: {rate: 2}", "- multiline: {}",
    "- multiline: {firstline: '('}", "- match: {selector: ''}", "- match: {selector: '{a=\"b\"}'}",
    "- match: {selector: '{}', action: drop}", "- match: {selector: '{a=\"b\"', action: drop}",
    "- match: {selector: '{a=\"b\"}', action: eat}",
    "- match: {selector: '{a=\"b\"}', action: drop, stages: [{output: {source: a}}]}",
    "- metrics: {a: {type: sum}}", "- metrics: {a: {type: counter, config: {action: set}}}",
    "- metrics: {a: {type: counter, config: {action: inc, match_all: true, value: x}}}", "- nonsense: {}",
    "- json: {expressions: {a: b}}\n  regex: {expression: a}",
)  # fmt: skip


def documents():
    yield from _extraction()
    yield from _labelling()
    yield from _formats()
    yield from _filters()
    for layout, texts in TIMES.items():
        stages = f"- json:\n    expressions: {{t: t}}\n- timestamp:\n    source: t\n    format: '{layout}'\n"
        yield document(f"time {layout}", stages, *[json.dumps({"t": text}) for text in texts])
    for location in ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"):
        stages = (
            "- json:\n    expressions: {t: t}\n- timestamp:\n    source: t\n    format: '2006-01-02 15:04:05'\n"
            f"    location: {location}\n    action_on_failure: skip\n"
        )
        texts = ("2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-11-01 01:30:00", "2026-03-08 02:30:00", "nope",
                 "1999-07-01 00:00:00")  # fmt: skip
        yield document(f"location {location}", stages, *[json.dumps({"t": text}) for text in texts])
    yield document(
        "time fallbacks",
        "- json:\n    expressions: {t: t}\n- timestamp:\n    source: t\n    format: UnixMs\n"
        "    fallback_formats: [RFC3339, '2006-01-02']\n",
        '{"t":1136214245123}', '{"t":"2006-01-02T15:04:05Z"}', '{"t":"2006-01-02"}', '{"t":"x"}', "{}",
    )  # fmt: skip
    for index, template in enumerate(TEMPLATES):
        stages = (
            "- json:\n    expressions: {msg: msg, level: level, 'n': 'n', f: f, ok: ok, nil: nil}\n- template:\n"
            f"    source: msg\n    template: {json.dumps(template)}\n- output:\n    source: msg\n"
        )
        line = '{"msg":"hello world","level":"warn","n":5,"f":1.5,"ok":true,"nil":null}'
        yield document(f"template {index}", stages, line)
    for index, stages in enumerate(BAD):
        yield document(f"bad {index}", stages, "x")


def _extraction():
    names = "level: level, msg: , 'n': 'n', f: f, big: big, e: e, tiny: tiny, ok: ok, nil: nil, user: user, list: list"
    yield document("json", f"- json:\n    expressions: {{{names}}}\n", *JSON_LINES)
    yield document(
        "json paths",
        "- json:\n    expressions: {name: user.name, first: 'list[0]', roles: 'user.roles', 'n': 'length(list)', "
        "upper: \"to_string(user.roles)\", none: 'a.b.c', some: \"list[?@ == 'x']\"}\n",
        *JSON_LINES,
    )
    yield document("json dropped", "- json:\n    expressions: {level: }\n    drop_malformed: true\n", *JSON_LINES)
    yield document(
        "json source",
        "- json:\n    expressions: {inner: inner}\n- json:\n    expressions: {a: a}\n    source: inner\n    drop_malformed: true\n",
        '{"inner":"{\\"a\\":1}"}', '{"inner":{"a":"x"}}', '{"inner":"zz"}', "{}", '{"inner":7}',
    )  # fmt: skip
    yield document("regex", REGEX, *CLF)
    yield document("regex source", "- json:\n    expressions: {m: m}\n- regex:\n    source: m\n    expression: 'a(?P<x>.)(?P<y>q)?'\n",
                   '{"m":"abc"}', '{"m":null}', '{"m":5}', "{}")  # fmt: skip
    yield document(
        "logfmt",
        "- logfmt:\n    mapping: {level: , timestamp: time, a: , b: , c: , d: , e: , f: , extra: , message: , unit: }\n",
        *LOGFMT,
    )
    yield document(
        "logfmt source",
        "- logfmt:\n    mapping: {extra: }\n- logfmt:\n    mapping: {user: }\n    source: extra\n",
        *LOGFMT,
    )
    yield document(
        "replace",
        "- replace:\n    expression: 'password (\\S+)'\n    replace: '****'\n",
        "password x1 and password x2",
        "none",
    )
    yield document(
        "replace named",
        "- replace:\n    expression: '^(?P<ip>\\S+) (?P<id>\\S+) (\\S+)'\n    replace: '{{ if eq .Value \"-\" }}none{{ else }}{{ .Value | ToUpper }}{{ end }}'\n",
        *CLF,
    )
    yield document(
        "replace twice",
        "- replace:\n    expression: '(\\d{2}.\\d{2}.\\d{2}.\\d{2}) - (\\S+)'\n    replace: '*{{ .Value }}*'\n",
        "11.11.11.11 - frank 12.12.12.12 - frank",
    )
    yield document(
        "replace nested groups",
        "- replace:\n    expression: '((a)b)(?P<c>c)?'\n    replace: '<{{ .Value }}>'\n",
        "abc ab xab",
    )
    yield document("replace without groups", "- replace:\n    expression: 'a+'\n    replace: 'x'\n", "aaa b")
    yield document("replace nothing", "- replace:\n    expression: '(a)'\n    replace: ''\n", "abca", "a")
    yield document(
        "replace source",
        "- json:\n    expressions: {m: m}\n- replace:\n    source: m\n    expression: '(b)'\n    replace: '{{ .app }}-{{ .gone }}-{{ .Value }}'\n",
        '{"m":"abc"}',
        "{}",
    )


def _labelling():
    parse = "- json:\n    expressions: {level: level, 'n': 'n', nil: nil, ok: ok, f: f, tenant: user.name}\n"
    yield document(
        "labels",
        parse + "- labels: {level: , number: 'n', 'no': , 'yes': , f: , gone: nowhere, app: level}\n",
        *JSON_LINES,
    )
    yield document("labeldrop", parse + "- labeldrop: [filename, gone]\n", *JSON_LINES[:2])
    yield document("labelallow", parse + "- labels: {level: }\n- labelallow: [level, gone]\n", *JSON_LINES[:3])
    yield document("static labels", "- static_labels: {env: prod, app: other, nothing: '', dotted.name: x}\n", "x")
    yield document(
        "structured metadata",
        parse + "- structured_metadata: {level: , number: 'n', app: , file: filename, gone: nowhere}\n",
        *JSON_LINES[:3],
    )
    yield document(
        "structured metadata of labels",
        parse + "- labels: {level: , user: tenant}\n- structured_metadata: {user: , lvl: level}\n",
        *JSON_LINES[:2],
    )
    yield document("non indexed", parse + "- non_indexed_labels: {level: }\n", *JSON_LINES[:2])
    for how in ("source: tenant", "label: app", "value: team", "source: nowhere", "label: nowhere"):
        yield document(f"tenant {how}", parse + f"- tenant: {{{how}}}\n", *JSON_LINES[:2])
    yield document("output", parse + "- output: {source: level}\n", *JSON_LINES[:3])
    yield document("output number", parse + "- output: {source: 'n'}\n", *JSON_LINES[:2])
    yield document(
        "pack", parse + "- pack: {labels: [app, level, 'n', nil, gone], ingest_timestamp: false}\n", *JSON_LINES
    )
    yield document(
        "pack odd",
        '- static_labels: {odd: "a\\"b<é\\u2028>"}\n- pack: {labels: [odd, filename], ingest_timestamp: false}\n',
        "tab\there \\ é \u2028 \x01",
    )


def _formats():
    cri = (
        "2019-05-07T18:57:50.904275087+00:00 stderr F some full line", "2019-05-07T18:57:55.904275087Z stdout F message",
        "2019-05-07T18:57:50.904275087+00:00 stdout P partial 1 ", "2019-05-07T18:57:51.904275087+00:00 stderr P err part ",
        "2019-05-07T18:57:52.904275087+00:00 stdout P partial 2 ", "2019-05-07T18:57:53.904275087+00:00 stdout F end",
        "2019-05-07T18:57:54.904275087+00:00 stderr F err end", "no cri at all", "2019-05-07T18:57:50Z stdout F ",
        "2019-05-07T18:57:50Z stdout F", "garbage stdout F bad time", "2019-05-07T18:57:50Z stdlog F other",
        "2019-05-07T18:57:50Z stdout F:x tagged", "2019-05-07T18:57:50Z stdout P", "  stdout F x", "",
    )  # fmt: skip
    yield document("cri", "- cri: {}\n", *cri)
    yield document("cri one partial", "- cri: {max_partial_lines: 1}\n", *cri[:7])
    yield document(
        "cri truncated", "- cri: {max_partial_line_size: 12, max_partial_line_size_truncate: true}\n", *cri[:7]
    )
    yield document("cri then json", "- cri: {}\n- json:\n    expressions: {level: }\n- labels: {level: , flags: }\n- output: {source: time}\n",
                   '2019-05-07T18:57:50.9Z stderr F {"level":"x"}')  # fmt: skip
    docker = (
        '{"log":"a line\\n","stream":"stderr","time":"2019-04-30T02:12:41.8443515Z"}',
        '{"log":"other","stream":"stdout","time":"bad"}', "none", '{"log":"x"}', '{"log":"third","stream":"stderr","time":"bad"}',
    )  # fmt: skip
    yield document("docker", "- docker: {}\n", *docker)
    lines = ("head", "START one", " a", " b", "START two", "START three", " c", "", " d")
    yield document("multiline", "- multiline:\n    firstline: '^START'\n    max_wait_time: 60s\n", *lines)
    yield document(
        "multiline short",
        "- multiline:\n    firstline: '^START'\n    max_lines: 2\n    max_wait_time: 60s\n",
        *lines,
        " e",
        "START f",
    )
    yield document(
        "multiline no limit",
        "- multiline:\n    firstline: '^START'\n    max_lines: 0\n    max_wait_time: 60s\n",
        *lines,
    )
    other = BASE | {"app": "other"}
    yield document("multiline streams", "- multiline:\n    firstline: '^START'\n    max_wait_time: 60s\n",
                   "START a", ("START b", other), " a2", (" b2", other), ("START b3", other))  # fmt: skip
    yield document("multiline after cri", "- cri: {}\n- multiline:\n    firstline: '^\\S'\n    max_wait_time: 60s\n- json:\n    expressions: {x: }\n",
                   "2019-05-07T18:57:50Z stdout F first", "2019-05-07T18:57:51Z stdout P  sec", "2019-05-07T18:57:52Z stdout F ond",
                   "2019-05-07T18:57:53Z stderr F other", "2019-05-07T18:57:54Z stdout F third")  # fmt: skip
    yield document(
        "decolorize",
        "- decolorize:\n",
        "\x1b[31mred\x1b[0m \x1b[1;32mg\x1b[m",
        "plain",
        "\x1b]0;title\x07x",
        "\x9b31mz é",
    )


def _filters():
    lines = ("GET /health ok", "POST /a error 500", "GET /b é", "")
    selectors = (
        '{app="shop"}', '{app!="shop"}', '{app=~"sh.*"}', '{app=~"sho"}', '{app!~"x|shop"}', '{app="shop",gone=""}',
        '{app="shop"} |= "GET"', '{app="shop"} |= "GET" != "health"', '{app="shop"} |~ "5.."', '{app="shop"} !~ "GET|POST"',
        '{gone=""}', '{app="shop"} |= ""', ' { app = "shop" } |= "\\u00e9"',
    )  # fmt: skip
    for selector in selectors:
        yield document(f"match drop {selector}", f"- match:\n    selector: '{selector}'\n    action: drop\n", *lines)
        yield document(
            f"match keep {selector}",
            f"- match:\n    selector: '{selector}'\n    stages:\n    - static_labels: {{hit: x}}\n    - template: {{source: t, template: '{{{{ .app }}}}{{{{ .hit }}}}'}}\n"
            "- labels: {t: }\n",
            *lines,
        )
    yield document(
        "match nested",
        '- match:\n    selector: \'{app="shop"}\'\n    stages:\n    - labels: {app2: app}\n    - match:\n        selector: \'{app2="shop"} |= "GET"\'\n        stages:\n        - output: {source: app2}\n',
        *lines,
    )
    parse = "- json:\n    expressions: {level: level, 'n': 'n', msg: msg, nil: nil}\n"
    drops = (
        "{source: level}", "{source: gone}", "{source: [level, msg]}", "{source: level, value: warn}", "{source: level, value: war}",
        "{source: [level, 'n'], value: 'warn;5'}", "{source: [level, 'n'], value: 'warn-5', separator: '-'}",
        "{source: level, expression: '^w'}", "{source: [level, gone], expression: '^warn$'}", '{source: nil, expression: ".*"}',
        "{expression: 'not'}", "{longer_than: 10}", "{longer_than: 1kb}", "{older_than: 1h}", "{older_than: 876000h}",
        "{expression: 'json', longer_than: 3}", "{source: nil}", "{source: msg, value: ''}",
    )  # fmt: skip
    for settings in drops:
        yield document(f"drop {settings}", f"{parse}- drop: {settings}\n", *JSON_LINES)
    yield document("sampling all", "- sampling: {rate: 1}\n", *lines)
    yield document("sampling none", "- sampling: {rate: 0}\n", *lines)
    yield document("limit", "- limit: {rate: 0.000001, burst: 2, drop: true}\n", *lines)
    yield document("limit by label", "- limit: {rate: 0.000001, burst: 1, drop: true, by_label_name: app}\n",
                   "a", ("b", BASE | {"app": "two"}), "c", ("d", {"filename": "x"}), ("e", {"filename": "x"}))  # fmt: skip


if __name__ == "__main__":
    json.dump(list(documents()), sys.stdout)
