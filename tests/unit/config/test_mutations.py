"""Whatever becomes of a file, loading it gives a Config or a ConfigError, and never a secret."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from pipeline.config.load import load
from pipeline.config.render import rendered
from pipeline.config.root import Config
from topics.errors import ConfigError

DATA = Path("tests/data/config").absolute()
GOOD = ["prometheus", "headrace", "anchors", "getting_started"]
ENVIRON = {"REPLICA": "r", "TENANT": "t", "TOKEN": "hunter2", "KAFKA_PASSWORD": "hunter2"}
ROUNDS = 40
STRANGE = [
    None, True, 0, -1, 2**70, 1.5, float("inf"), "", " ", "0", "1s", "\u2028", "é" * 300, "${", "${X}", "$1", "(", "*",
    [], [None], [[]], {}, {"": ""}, {"a": {"a": None}}, [{"a": 1}], "a" * 70_000, "-", "!x", "&a", "*a",
]  # fmt: skip


def _load(path):
    try:
        outcome = load(path, environ=ENVIRON)
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, Config):
        assert rendered(outcome)
        return
    assert outcome.problems
    assert "hunter2" not in str(outcome)
    assert all(problem.message and problem.line >= 0 for problem in outcome.problems)


@pytest.mark.parametrize("name", GOOD)
def test_bytes_that_change_never_crash_the_loader(name, tmp_path):
    dice = random.Random(name)
    good = (DATA / f"{name}.good.yml").read_bytes()
    path = tmp_path / "c.yml"
    for _ in range(ROUNDS):
        text = bytearray(good)
        for _ in range(dice.randint(1, 5)):
            at = dice.randrange(len(text))
            match dice.randrange(4):
                case 0:
                    text[at] = dice.choice(b"\t\n :-#[]{}&*!|>'\"%@`,?$\\0a\xff")
                case 1:
                    del text[at : at + dice.randint(1, 20)]
                case 2:
                    text[at:at] = text[dice.randrange(len(text)) :][: dice.randint(1, 40)]
                case 3:
                    text[at:at] = dice.choice([b"\n", b"  ", b"- ", b": ", b"<<: ", b"\n---\n"])
        path.write_bytes(bytes(text))
        _load(path)


@pytest.mark.parametrize("name", GOOD)
def test_values_that_change_never_crash_the_loader(name, tmp_path):
    dice = random.Random(name)
    path = tmp_path / "c.yml"
    for _ in range(ROUNDS):
        data = yaml.safe_load((DATA / f"{name}.good.yml").read_text())
        for _ in range(dice.randint(1, 3)):
            _mutate(data, dice)
        path.write_text(yaml.safe_dump(data, allow_unicode=True))
        _load(path)


def _mutate(value, dice):
    """Put something strange somewhere into a tree."""
    while True:
        if isinstance(value, dict) and value:
            key = dice.choice(list(value))
        elif isinstance(value, list) and value:
            key = dice.randrange(len(value))
        else:
            return
        if not isinstance(value[key], dict | list) or not value[key] or dice.random() < 0.2:
            match dice.randrange(3):
                case 0 if isinstance(value, dict):
                    value[f"{key}x"] = value.pop(key)
                case 1 if isinstance(value, list):
                    value.append(value[key])
                case _:
                    value[key] = dice.choice(STRANGE)
            return
        value = value[key]
