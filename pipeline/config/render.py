"""The configuration as YAML for `/config`: every default filled in, every secret hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pipeline.config.root import Config


def rendered(config: Config) -> str:
    """YAML that means the same as the files did, but for secrets, which show as ``<secret>``."""
    data = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=False)
