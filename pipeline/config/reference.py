"""The tables of docs/configuration.md, from the models: ``python -m pipeline.config.reference`` writes them anew.

A test compares, so neither a key nor a default can drift from the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter
from pydantic_core import PydanticUndefined

from pipeline.config import (
    cloud_auth,
    http,
    kafka,
    logs,
    promtail,
    relabel,
    remote_write,
    root,
    scrape,
    scrape_defaults,
    sd,
    stages,
)
from pipeline.config.keys import key_of, shape
from pipeline.config.meanings import MEANINGS
from pipeline.config.section import Elsewhere, Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from pipeline.config.section import Foreign

PAGE = Path("docs/configuration.md")
BEGIN, END = "<!-- begin of the generated part -->", "<!-- end of the generated part -->"

SECTIONS: tuple[tuple[str, type[Section]], ...] = (
    ("The file", root.Config),
    ("`global`", scrape.GlobalConfig),
    ("`scrape_configs[]`", scrape.ScrapeConfig),
    *((section.title(), section) for section in sd.SECTIONS),
    ("`relabel_config`", relabel.RelabelConfig),
    ("`http`: keys of `scrape_configs[]`, `remote_write[]`, `logs.clients[]`", http.HttpClientConfig),
    ("`http_headers.NAME`", http.HttpHeader),
    ("`basic_auth`", http.BasicAuth),
    ("`authorization`", http.Authorization),
    ("`oauth2`", http.OAuth2),
    ("`tls_config`", http.TLSConfig),
    ("`remote_write[]`", remote_write.RemoteWriteConfig),
    ("`remote_write[].sigv4`", cloud_auth.SigV4Config),
    ("`remote_write[].azuread`", cloud_auth.AzureADConfig),
    ("`remote_write[].azuread.managed_identity`", cloud_auth.AzureManagedIdentity),
    ("`remote_write[].azuread.workload_identity`", cloud_auth.AzureWorkloadIdentity),
    ("`remote_write[].azuread.oauth`", cloud_auth.AzureOAuth),
    ("`remote_write[].azuread.sdk`", cloud_auth.AzureSDK),
    ("`remote_write[].azuread.certificate`", cloud_auth.AzureCertificate),
    ("`remote_write[].google_iam`", cloud_auth.GoogleIAMConfig),
    ("`remote_write[].queue_config`", remote_write.QueueConfig),
    ("`remote_write[].metadata_config`", remote_write.MetadataConfig),
    ("`logs`", logs.LogsConfig),
    ("`logs.scrape_configs[]`", logs.LogScrapeConfig),
    ("`logs.scrape_configs[].decompression`", logs.DecompressionConfig),
    ("`logs.limits_config`", logs.LimitsConfig),
    ("`pipeline_stages[]`", stages.PipelineStage),
    *((section.TITLE, section) for section in stages.sections()),
    ("`logs.clients[]`", logs.LokiClientConfig),
    ("`logs.clients[].backoff_config`", logs.BackoffConfig),
    ("`logs.positions`", logs.PositionsConfig),
    ("`logs.target_config`", logs.TargetConfig),
    ("`logs.file_watch_config`", logs.FileWatchConfig),
    ("`kafka`", kafka.KafkaConfig),
    ("`topics`", kafka.TopicsConfig),
    ("`producer`", kafka.ProducerConfig),
    ("A Promtail file", promtail.PromtailConfig),
)
_HTTP_HEIRS = frozenset(
    section
    for _, section in SECTIONS
    if issubclass(section, http.HttpClientConfig) and section is not http.HttpClientConfig
)
# Defaults that are a rule, not a value.
_RULES: dict[tuple[type[Section], str], str] = {
    **{(scrape.ScrapeConfig, name): "`global`'s" for name in scrape_defaults.ScrapeDefaults.model_fields},
    (scrape.GlobalConfig, "metric_name_escaping_scheme"): "`allow-utf-8`; with `legacy` names `underscores`",
    (scrape.GlobalConfig, "scrape_protocols"): " ".join(f"`{name}`" for name in scrape_defaults.DEFAULT_PROTOCOLS)
    + "; with native histograms `PrometheusProto` before them",
    (scrape.ScrapeConfig, "scrape_interval"): "`global`'s",
    (scrape.ScrapeConfig, "scrape_timeout"): "`global`'s",
    (scrape.ScrapeConfig, "scrape_protocols"): "`global`'s",
    (remote_write.RemoteWriteConfig, "name"): "`rw-` and six hex digits of the hash of `url`",
    (logs.LokiClientConfig, "name"): "`loki-` and six hex digits of the hash of `url`",
}


def reference() -> str:
    """The generated part of the page."""
    return (
        "\n\n".join(f"### {title}\n\n{_table(section)}{_foreign(section)}".rstrip() for title, section in SECTIONS)
        + "\n"
    )


def _table(section: type[Section]) -> str:
    if not section.model_fields:
        return "headrace acts on none of its keys.\n"
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in _own(section).items():
        key = key_of(name, field)
        rows.append(f"| `{key}` | {_default(section, name, field)} | {MEANINGS[section][key]} |")
    if section in _HTTP_HEIRS:
        rows.append("| the keys of `http` | | below |")
    return "\n".join(rows) + "\n"


def _own(section: type[Section]) -> dict[str, FieldInfo]:
    """The fields without those that a table of their own has."""
    shared = http.HttpClientConfig.model_fields if section in _HTTP_HEIRS else {}
    return {name: field for name, field in section.model_fields.items() if name not in shared}


def _default(section: type[Section], name: str, field: FieldInfo) -> str:
    if (section, name) in _RULES:
        return _RULES[(section, name)]
    if field.is_required():
        return "required"
    value = field.default_factory() if field.default is PydanticUndefined else field.default  # type: ignore[call-arg,misc]
    if value is None or value in ("", (), {}) or isinstance(value, Section):
        return ""
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    shown = TypeAdapter(annotation).dump_python(value, mode="json")
    if isinstance(shown, bool):
        return f"`{str(shown).lower()}`"
    if isinstance(shown, list):
        return " ".join(f"`{item}`" for item in shown)
    return f"`{shown}`"


def _foreign(section: type[Section]) -> str:
    """What Prometheus or Promtail know besides; keys that fare alike share a row."""
    if not section.FOREIGN:
        return ""
    alike: dict[Foreign, list[str]] = {}
    shared = http.HttpClientConfig.FOREIGN if section in _HTTP_HEIRS else {}
    for key, foreign in section.FOREIGN.items():
        if key in shared:
            continue
        alike.setdefault(foreign, []).append(f"`{key}`")
    rows = ["", "| not acted on | what happens | why, or what instead |", "|---|---|---|"]
    for foreign, keys in alike.items():
        if isinstance(foreign, Elsewhere):
            rows.append(f"| {' '.join(keys)} | accepted with a warning | {foreign.why} |")
        else:
            values = ", ".join(f"`{value}`" for value in foreign.harmless if value)
            rows.append(f"| {' '.join(keys)} | refused{f', but for {values}' if values else ''} | {foreign.remedy} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """A page with its generated part made anew."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def sections_within(section: type[Section]) -> set[type[Section]]:
    """The section and every section that can stand inside it, at any depth."""
    found = {section}
    pending = [section]
    while pending:
        inner = {one[1] for field in pending.pop().model_fields.values() if (one := shape(field)) is not None}
        pending += inner - found
        found |= inner
    return found


def _main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _main()
