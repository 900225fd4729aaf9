"""`${NAME}` and `${NAME:-default}` in the keys that may hold them: urls, headers, auth, TLS, external_labels, kafka.

Everywhere else `$` is left alone, so relabel replacements keep their `$1` and `${1}`. A literal `${` is written `$${`;
no other `$` has a meaning, so passwords from an existing file stay what they are. In `external_labels` the rules of
Prometheus 3 hold besides: `$NAME` expands too, and `$$` is a dollar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from pipeline.config.section import fault
from pipeline.config.units import Secret, Text

_REFERENCE = re.compile(r"(\$\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)")
_LABEL_REFERENCE = re.compile(r"(\$\$)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)|\$([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Context:
    """What validation may look at besides the file: variables, and the folder that relative paths start from."""

    environ: Mapping[str, str]
    directory: Path


def expand(text: str, environ: Mapping[str, str], *, label: bool = False) -> str:
    """`text` with its references replaced; raises a fault that names the variable, never its value.

    `label`: the rules of external_labels.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return match[1][1:]
        if match[4]:
            raise fault(
                "`${` without a name and a closing brace", "write ${NAME} or ${NAME:-default}; $${ is a literal ${"
            )
        name = match[2] or match[5]
        value = environ.get(name)
        # As in a shell: `:-` also replaces a variable that is set to nothing.
        if match[2] and match[3] is not None:
            return value or match[3]
        if value is None:
            raise fault(f"environment variable {name} is not set", f"set it, or give a default: ${{{name}:-value}}")
        return value

    return (_LABEL_REFERENCE if label else _REFERENCE).sub(replace, text)


def _expanded(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and isinstance(info.context, Context):
        return expand(str(value), info.context.environ)
    return value


def _expanded_label(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str) and isinstance(info.context, Context):
        return expand(str(value), info.context.environ, label=True)
    return value


def _joined(value: Any, info: ValidationInfo) -> Any:
    """As Prometheus does: a relative path starts from the folder of the file that names it."""
    if isinstance(value, str) and value and isinstance(info.context, Context):
        return str(info.context.directory / value)
    return value


ExpandedText = Annotated[Text, BeforeValidator(_expanded)]
ExpandedLabel = Annotated[Text, BeforeValidator(_expanded_label)]
ExpandedSecret = Annotated[Secret, BeforeValidator(_expanded)]
JOINED = AfterValidator(_joined)
FilePath = Annotated[Text, JOINED]
ExpandedFilePath = Annotated[FilePath, BeforeValidator(_expanded)]
