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

TAIL_READ_LINES = Metric("headrace_tail_read_lines_total", "counter", "Lines read from files (CRI pieces joined).")
TAIL_READ_BYTES = Metric("headrace_tail_read_bytes_total", "counter", "Bytes read from files.")
TAIL_ACKED_LINES = Metric("headrace_tail_acked_lines_total", "counter", "Lines that Kafka has acknowledged.")
TAIL_ODD_LINES = Metric(
    "headrace_tail_odd_lines_total",
    "counter",
    "Lines that were sent but not as they should be: malformed (no CRI line), bad_timestamp, cut (too long), invalid_utf8.",
    ("reason",),
)
TAIL_ROTATIONS = Metric("headrace_tail_rotations_total", "counter", "Files found anew under a path that was followed.")
TAIL_TRUNCATIONS = Metric("headrace_tail_truncations_total", "counter", "Files that were truncated or written anew.")
TAIL_LOST_BYTES = Metric(
    "headrace_tail_lost_bytes_total",
    "counter",
    "Bytes known to have been in a file and gone before they were read: truncated, or vanished while nobody looked.",
    ("reason",),
)
TAIL_FILE_ERRORS = Metric("headrace_tail_file_errors_total", "counter", "Attempts to read a file that failed.", ("reason",))
TAIL_FILES = Metric("headrace_tail_files", "gauge", "Files held open.")
TAIL_LAG_BYTES = Metric("headrace_tail_lag_bytes", "gauge", "Bytes in the files that were not read yet.")
TAIL_IN_FLIGHT_BYTES = Metric("headrace_tail_in_flight_bytes", "gauge", "Bytes handed to Kafka and not acknowledged yet.")

# --- agent -------------------------------------------------------------------------------------------------------

# --- run ---------------------------------------------------------------------------------------------------------

RUN_CHILD_UP = Metric("headrace_run_child_up", "gauge", "1 while the child process runs.", ("child",))
RUN_CHILD_RESTARTS = Metric(
    "headrace_run_child_restarts_total", "counter", "Times a child ended unasked and was started again.", ("child",)
)
RUN_CHILDREN_KILLED = Metric(
    "headrace_run_children_killed_total", "counter", "Children that had to be killed when they did not stop in time."
)
