"""Each `*.bad.yml` gets exactly the messages in the `*.bad.txt` beside it, and each message has a bad file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pipeline.config
from pipeline.config.load import load
from topics.errors import ConfigError

DATA = Path("tests/data/config")
BAD = sorted(DATA.glob("*.bad.yml"))
CODE = Path(pipeline.config.__file__).parent
# Where a message is the first argument, or the second (after a key path).
FIRST, SECOND = {"Fault", "fault"}, {"faults_at", "problem"}


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_gets_its_messages(path, monkeypatch):
    monkeypatch.chdir(DATA)
    with pytest.raises(ConfigError) as caught:
        load(Path(path.name), environ={})
    expected = Path(path.name).with_suffix(".txt").read_text()
    assert "".join(f"{problem}\n" for problem in caught.value.problems) == expected


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_no_message_speaks_of_the_validator(path):
    text = path.with_suffix(".txt").read_text().lower()
    assert re.findall(r"\b(input|pydantic|validat\w*|dict\w*|str|int|nonetype|traceback|tuple|python)\b", text) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_every_message_names_a_line(path):
    for line in path.with_suffix(".txt").read_text().splitlines():
        assert line.split(":")[1].isdigit(), line


def test_each_message_has_a_bad_file():
    shown = "".join(path.with_suffix(".txt").read_text() for path in BAD)
    missing = [text for text in _messages() if text not in shown]
    assert missing == []


def _messages():
    """The longest fixed part of every message in the code of the configuration."""
    for path in sorted(CODE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = 0 if name in FIRST else 1 if name in SECOND else None
            if position is None or len(node.args) <= position or _warns(node):
                continue
            text = _fixed(node.args[position])
            if text:
                yield text


def _warns(node):
    """Warnings are not errors, and one message needs two files: test_good_files.py has them."""
    said = [str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return any(text.startswith(("headrace ", "logs are configured", "no __path__")) for text in said)


def _fixed(node):
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return max((text.strip() for text in texts), key=len, default="")
