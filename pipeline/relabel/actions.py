"""The closed list of actions: what each rule does to the labels at hand."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.relabel.rule import Action, RelabelRule, valid_legacy_name, valid_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Builder:
    """Labels being rewritten, in the order in which Prometheus walks them: untouched ones by name, then set ones.

    The order decides which label wins when labelmap writes two of them to one name.
    """

    __slots__ = ("_set", "values")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.values = dict(sorted(labels.items()))
        self._set: set[str] = set()

    def get(self, name: str) -> str:
        """The value, empty where there is no such label."""
        return self.values.get(name, "")

    def set(self, name: str, value: str) -> None:
        """Set a label; an empty value removes it."""
        if not value:
            self.delete(name)
            return
        if name not in self._set:
            self.values.pop(name, None)
            self._set.add(name)
        self.values[name] = value

    def delete(self, name: str) -> None:
        """Remove a label, if it is there."""
        self.values.pop(name, None)


def apply(rule: RelabelRule, labels: Builder) -> bool:
    """Do what the rule says. False: the label set is dropped."""
    return _ACTIONS[rule.action](rule, labels)


def _value(rule: RelabelRule, labels: Builder) -> str:
    sources = rule.source_labels
    if len(sources) == 1:
        return labels.values.get(sources[0], "")
    return rule.separator.join([labels.values.get(name, "") for name in sources])


def _replace(rule: RelabelRule, labels: Builder) -> bool:
    groups = rule.regex.match(_value(rule, labels))
    if groups is None:
        return True
    target = rule.regex.expand(rule.target_template, groups)
    if valid_legacy_name(target) if rule.legacy else valid_name(target):
        labels.set(target, rule.regex.expand(rule.replacement_template, groups))
    return True


def _keep(rule: RelabelRule, labels: Builder) -> bool:
    return rule.regex.matches(_value(rule, labels))


def _drop(rule: RelabelRule, labels: Builder) -> bool:
    return not rule.regex.matches(_value(rule, labels))


def _keep_equal(rule: RelabelRule, labels: Builder) -> bool:
    return labels.get(rule.target_label) == _value(rule, labels)


def _drop_equal(rule: RelabelRule, labels: Builder) -> bool:
    return labels.get(rule.target_label) != _value(rule, labels)


def _hash_mod(rule: RelabelRule, labels: Builder) -> bool:
    """The last eight bytes of the MD5, big-endian: what Prometheus has always computed."""
    digest = hashlib.md5(_value(rule, labels).encode(), usedforsecurity=False).digest()
    labels.set(rule.target_label, str(int.from_bytes(digest[8:], "big") % rule.modulus))
    return True


def _label_map(rule: RelabelRule, labels: Builder) -> bool:
    for name, value in list(labels.values.items()):
        groups = rule.regex.match(name)
        if groups is None:
            continue
        labels.set(rule.regex.expand(rule.replacement_template, groups), value)
    return True


def _label_drop(rule: RelabelRule, labels: Builder) -> bool:
    for name in [name for name in labels.values if rule.regex.matches(name)]:
        labels.delete(name)
    return True


def _label_keep(rule: RelabelRule, labels: Builder) -> bool:
    for name in [name for name in labels.values if not rule.regex.matches(name)]:
        labels.delete(name)
    return True


def _lowercase(rule: RelabelRule, labels: Builder) -> bool:
    value = _value(rule, labels)
    labels.set(rule.target_label, value.lower() if value.isascii() else "".join(map(_lower, value)))
    return True


def _uppercase(rule: RelabelRule, labels: Builder) -> bool:
    value = _value(rule, labels)
    labels.set(rule.target_label, value.upper() if value.isascii() else "".join(map(_upper, value)))
    return True


def _lower(char: str) -> str:
    """Unicode's simple mapping, one character to one, as Go's strings.ToLower: no context, no growth."""
    return char.lower()[0]


def _upper(char: str) -> str:
    """Unicode's simple mapping: `ß` stays, where Python's own mapping makes two letters."""
    for mapped in (char.upper(), char.title()):
        if len(mapped) == 1:
            return mapped
    return char


_ACTIONS: dict[Action, Callable[[RelabelRule, Builder], bool]] = {
    Action.REPLACE: _replace,
    Action.KEEP: _keep,
    Action.DROP: _drop,
    Action.KEEPEQUAL: _keep_equal,
    Action.DROPEQUAL: _drop_equal,
    Action.HASHMOD: _hash_mod,
    Action.LABELMAP: _label_map,
    Action.LABELDROP: _label_drop,
    Action.LABELKEEP: _label_keep,
    Action.LOWERCASE: _lowercase,
    Action.UPPERCASE: _uppercase,
}
