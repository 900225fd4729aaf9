"""One relabelling rule: its data, Prometheus 3's defaults, and what is refused.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config; names of labels are
any UTF-8 text, as Prometheus 3 has it by default, or those of old where `metric_name_validation_scheme` is `legacy`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pipeline.relabel.regex import Regex
from pipeline.relabel.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping


class Action(StrEnum):
    """What a rule does. The list is closed."""

    REPLACE = "replace"
    KEEP = "keep"
    DROP = "drop"
    KEEPEQUAL = "keepequal"
    DROPEQUAL = "dropequal"
    HASHMOD = "hashmod"
    LABELMAP = "labelmap"
    LABELDROP = "labeldrop"
    LABELKEEP = "labelkeep"
    LOWERCASE = "lowercase"
    UPPERCASE = "uppercase"


SEPARATOR = ";"
REGEX = "(.*)"
REPLACEMENT = "$1"
_MAX_MODULUS = (1 << 64) - 1

_NEED_TARGET = frozenset(
    {Action.REPLACE, Action.HASHMOD, Action.LOWERCASE, Action.UPPERCASE, Action.KEEPEQUAL, Action.DROPEQUAL}
)
_NO_REPLACEMENT = frozenset({Action.LOWERCASE, Action.UPPERCASE, Action.KEEPEQUAL, Action.DROPEQUAL})
_EQUAL = frozenset({Action.KEEPEQUAL, Action.DROPEQUAL})
_NAMES_ONLY = frozenset({Action.LABELDROP, Action.LABELKEEP})

_LEGACY_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_VARIABLE = r"\$(?:\{\w+\}|\w+)"
_LEGACY_TEMPLATE = re.compile(rf"(?:[a-zA-Z_]|{_VARIABLE})(?:\w|{_VARIABLE})*", re.ASCII)

KEYS = ("source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action")


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """A checked rule; make it with `build`. `modulus` 0 means not set; `legacy`: only names of old may be written."""

    source_labels: tuple[str, ...]
    separator: str
    regex: Regex
    modulus: int
    target_label: str
    replacement: str
    action: Action
    legacy: bool = False
    target_template: Template = field(init=False, repr=False, compare=False)
    replacement_template: Template = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target_template", Template.parse(self.target_label))
        object.__setattr__(self, "replacement_template", Template.parse(self.replacement))

    @classmethod
    def build(cls, *, legacy: bool = False, **raw: Any) -> RelabelRule:
        """A rule from the keys of its YAML mapping; a key that is missing takes Prometheus's default.

        `legacy`: names must be those of the `legacy` validation scheme.

        Raises ValueError, in Prometheus's words, for an unknown key or action, a wrong type, an expression that RE2
        does not take, and for keys that do not go with the action.
        """
        _check_types(raw)
        rule = cls(
            source_labels=tuple(raw.get("source_labels") or ()),
            separator=_text(raw, "separator", SEPARATOR),
            regex=Regex(_text(raw, "regex", REGEX)),
            modulus=raw.get("modulus") or 0,
            target_label=_text(raw, "target_label", ""),
            replacement=_text(raw, "replacement", REPLACEMENT),
            action=_action(raw.get("action", Action.REPLACE)),
            legacy=legacy,
        )
        _check_target(rule)
        _check_strangers(rule, has_sources=raw.get("source_labels") is not None, has_regex="regex" in raw)
        return rule


def _text(raw: Mapping[str, Any], key: str, default: str) -> str:
    """The text of a key. A key written without a value is empty text, as in Prometheus, not the default."""
    value = raw.get(key, default)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _action(value: Any) -> Action:
    if value is None:
        raise ValueError("relabel action cannot be empty")
    try:
        return Action(str(value).lower())
    except ValueError:
        raise ValueError(f'unknown relabel action "{value}"') from None


def _check_types(raw: Mapping[str, Any]) -> None:
    for key, value in raw.items():
        if key not in KEYS:
            raise ValueError(f"unknown key {key!r}: a relabel rule has {', '.join(KEYS)}")
        if key == "modulus":
            if value is not None and (type(value) is not int or not 0 <= value <= _MAX_MODULUS):
                raise ValueError(f"modulus must be an integer of 0 to {_MAX_MODULUS}, not {value!r}")
        elif key == "source_labels":
            _check_sources(value)
        elif isinstance(value, (list, tuple, dict, set)):
            raise ValueError(f"{key} must be text, not {value!r}")


def _check_sources(value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"source_labels must be a list of label names, not {value!r}")  # noqa: TRY004 # one error class
    for name in value:
        if not isinstance(name, str) or not valid_name(name):
            raise ValueError(f'"{name}" is not a valid label name')


def valid_name(name: str) -> bool:
    """Whether a label may have this name: any text that UTF-8 can hold, but not empty."""
    if name.isascii():
        return bool(name)
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def valid_legacy_name(name: str) -> bool:
    """Whether a label could have this name before Prometheus 3: letters, digits and `_`, no digit first."""
    return _LEGACY_NAME.fullmatch(name) is not None


def _valid_template(text: str, *, legacy: bool) -> bool:
    """Whether a name may come of this. `$` and braces are letters like any other where every text is a name."""
    if not legacy:
        return valid_name(text)
    return _LEGACY_TEMPLATE.fullmatch(text) is not None


def _check_target(rule: RelabelRule) -> None:
    action, target = rule.action, rule.target_label
    if action is Action.HASHMOD and not rule.modulus:
        raise ValueError("relabel configuration for hashmod requires non-zero modulus")
    if action in _NEED_TARGET:
        if not target:
            raise ValueError(f"relabel configuration for {action} action requires 'target_label' value")
        if action is Action.REPLACE and "$" in target:
            fits = _valid_template(target, legacy=rule.legacy)
        else:
            fits = valid_legacy_name(target) if rule.legacy else valid_name(target)
        if not fits:
            raise ValueError(f"\"{target}\" is invalid 'target_label' for {action} action")
    if action is Action.LABELMAP and not _valid_template(rule.replacement, legacy=rule.legacy):
        raise ValueError(f"\"{rule.replacement}\" is invalid 'replacement' for {action} action")


def _check_strangers(rule: RelabelRule, *, has_sources: bool, has_regex: bool) -> None:
    """Refuse keys that the action does not look at: they would be ignored, which is not what was meant."""
    action = rule.action
    if action in _NO_REPLACEMENT and rule.replacement != REPLACEMENT:
        raise ValueError(f"'replacement' can not be set for {action} action")
    plain = not rule.modulus and rule.separator == SEPARATOR and rule.replacement == REPLACEMENT
    if action in _EQUAL and (has_regex or not plain):
        raise ValueError(f"{action} action requires only 'source_labels' and 'target_label', and no other fields")
    if action in _NAMES_ONLY and (has_sources or rule.target_label or not plain):
        raise ValueError(f"{action} action requires only 'regex', and no other fields")
