"""Every self-metric: name, kind, labels, meaning. `docs/metrics.md` is written from this file.

One section for each part; a name is declared here once and nowhere else.
"""

from __future__ import annotations

from pipeline.telemetry.metrics import Metric

# --- process -----------------------------------------------------------------------------------------------------

BUILD_INFO = Metric("headrace_build_info", "gauge", "Always 1; the version is in the label.", ("version", "role"))
CONFIG_RELOADS = Metric("headrace_config_reloads_total", "counter", "Reloads of the configuration.", ("result",))
CONFIG_LOADED = Metric("headrace_config_last_reload_successful", "gauge", "1 if the last reload took effect, else 0.")

# --- producer ----------------------------------------------------------------------------------------------------

# --- scrape ------------------------------------------------------------------------------------------------------

# --- tail --------------------------------------------------------------------------------------------------------

# --- agent -------------------------------------------------------------------------------------------------------

# --- run ---------------------------------------------------------------------------------------------------------
