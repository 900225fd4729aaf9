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

PRODUCER_RECORDS = Metric("headrace_producer_records_total", "counter", "Records that Kafka acknowledged.", ("topic",))
PRODUCER_SAMPLES = Metric(
    "headrace_producer_samples_total", "counter", "Samples or lines in records that Kafka acknowledged.", ("topic",)
)
PRODUCER_BYTES = Metric(
    "headrace_producer_bytes_total", "counter", "Bytes of values that Kafka acknowledged.", ("topic",)
)
PRODUCER_DROPPED = Metric(
    "headrace_producer_dropped_samples_total",
    "counter",
    "Samples lost before Kafka: spool_full (oldest first), shutdown (Kafka was away until the end), refused_by_kafka, "
    "not_owner (another replica may have gone on since).",
    ("topic", "reason"),
)
PRODUCER_ACK_SECONDS = Metric(
    "headrace_producer_ack_duration_seconds",
    "histogram",
    "From handing a record to the Kafka client to its acknowledgement.",
    ("topic",),
    (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0),
)
PRODUCER_SPOOL_BYTES = Metric("headrace_producer_spool_bytes", "gauge", "Bytes held that Kafka has not acknowledged.")
PRODUCER_SPOOL_LIMIT = Metric("headrace_producer_spool_limit_bytes", "gauge", "The bound of what is held.")
PRODUCER_CONNECTED = Metric("headrace_producer_connected", "gauge", "1 while Kafka acknowledges, or nothing waits.")
PRODUCER_TRANSACTIONS = Metric(
    "headrace_producer_transactions_total",
    "counter",
    "Kafka transactions of the tailer: committed; failed (their outcome was read back, nothing is lost or repeated).",
    ("result",),
)

# --- scrape ------------------------------------------------------------------------------------------------------

SCRAPES = Metric("headrace_scrape_scrapes_total", "counter", "Scrapes done.", ("result",))
SCRAPES_MISSED = Metric(
    "headrace_scrape_missed_total", "counter", "Turns that passed while the scrape before still ran."
)
SCRAPE_DURATION = Metric(
    "headrace_scrape_duration_seconds",
    "histogram",
    "From the request to the samples handed to the producer.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
SCRAPE_SAMPLES = Metric(
    "headrace_scrape_samples_total", "counter", "Samples scraped, after metric relabelling; report series not counted."
)
SCRAPE_REJECTED = Metric(
    "headrace_scrape_samples_rejected_total", "counter", "Samples scraped and not sent on.", ("reason",)
)
SCRAPE_EXEMPLARS_REJECTED = Metric(
    "headrace_scrape_exemplars_rejected_total", "counter", "Exemplars older than the last one of their series."
)
SCRAPE_LIMIT_EXCEEDED = Metric(
    "headrace_scrape_limit_exceeded_total",
    "counter",
    "Scrapes that failed because of a limit of their job.",
    ("limit",),
)
SCRAPE_LAYOUTS = Metric(
    "headrace_scrape_layouts_total",
    "counter",
    "Bodies matched by the template; patched, where some lines were new or gone; and read anew.",
    ("result",),
)
SCRAPE_START_DELAY = Metric(
    "headrace_scrape_start_delay_seconds",
    "histogram",
    "From the time when a scrape is due to its beginning.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
SCRAPE_TARGETS = Metric("headrace_scrape_targets", "gauge", "Targets scraped.", ("job",))
SCRAPE_TARGETS_ELSEWHERE = Metric(
    "headrace_scrape_targets_elsewhere", "gauge", "Targets that other replicas own.", ("job",)
)
SCRAPE_TARGETS_EXCEEDED = Metric(
    "headrace_scrape_target_limit_exceeded_total", "counter", "Times a job came to have more targets than target_limit."
)
SCRAPE_METADATA = Metric(
    "headrace_scrape_metadata_total", "counter", "Metric families described to Kafka, each time that one was."
)
SCRAPE_METADATA_LEFT_OUT = Metric(
    "headrace_scrape_metadata_left_out_total",
    "counter",
    "Metric families not described to Kafka: more than is kept, or too long.",
)
SCRAPE_METADATA = Metric(
    "headrace_scrape_metadata_total", "counter", "Metric families described to Kafka, each time that one was."
)
SCRAPE_METADATA_LEFT_OUT = Metric(
    "headrace_scrape_metadata_left_out_total",
    "counter",
    "Metric families not described to Kafka: more than is kept, or too long.",
)
DISCOVERY_TARGETS = Metric("headrace_discovery_targets", "gauge", "Targets discovered, before relabelling.", ("job",))
DISCOVERY_FAILURES = Metric(
    "headrace_discovery_failures_total", "counter", "Looks for targets that failed; the last ones stay.", ("mechanism",)
)

# --- ownership: which replica scrapes what --------------------------------------------------------------------------

OWNERSHIP_SHARES = Metric(
    "headrace_ownership_shares", "gauge", "Shares of the targets that this replica scrapes; 64 in all."
)
OWNERSHIP_MEMBERS = Metric("headrace_ownership_members", "gauge", "Replicas in the scrapers' group, as last told.")
OWNERSHIP_CONFIRMED = Metric(
    "headrace_ownership_confirmed",
    "gauge",
    "1 while no other replica can own the same; 0: nothing is sent until the group's coordinator answers.",
)
OWNERSHIP_TAKEN = Metric("headrace_ownership_shares_taken_total", "counter", "Shares taken over from the group.")
OWNERSHIP_GIVEN = Metric(
    "headrace_ownership_shares_given_total", "counter", "Shares handed over, their last samples acknowledged by Kafka."
)
OWNERSHIP_LOST = Metric(
    "headrace_ownership_shares_lost_total", "counter", "Shares given up because the session in the group had ended."
)

# --- tail --------------------------------------------------------------------------------------------------------

TAIL_READ_LINES = Metric("headrace_tail_read_lines_total", "counter", "Lines read from files (CRI pieces joined).")
TAIL_READ_BYTES = Metric("headrace_tail_read_bytes_total", "counter", "Bytes read from files.")
TAIL_ACKED_LINES = Metric("headrace_tail_acked_lines_total", "counter", "Lines that Kafka has acknowledged.")
TAIL_ODD_LINES = Metric(
    "headrace_tail_odd_lines_total",
    "counter",
    "Lines sent, but not as they should be: malformed (no CRI line), bad_timestamp, cut (too long), invalid_utf8, "
    "bad_encoding, stage_failed (a fault of headrace itself).",
    ("reason",),
)
TAIL_DROPPED_LINES = Metric(
    "headrace_tail_dropped_lines_total",
    "counter",
    "Lines read and not sent, because a stage or a limit says so; the stage's drop_counter_reason is the reason.",
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
TAIL_FILE_ERRORS = Metric(
    "headrace_tail_file_errors_total", "counter", "Attempts to read a file that failed.", ("reason",)
)
TAIL_FILES = Metric("headrace_tail_files", "gauge", "Files held open.")
TAIL_LAG_BYTES = Metric("headrace_tail_lag_bytes", "gauge", "Bytes in the files that were not read yet.")
TAIL_IN_FLIGHT_BYTES = Metric(
    "headrace_tail_in_flight_bytes", "gauge", "Bytes handed to Kafka and not acknowledged yet."
)

# --- agent -------------------------------------------------------------------------------------------------------
# Items are samples (native histograms included) for metrics, lines for logs.

AGENT_IN = Metric(
    "headrace_agent_items_in_total",
    "counter",
    "Items of the records taken from the topic; each has an outcome, was returned, or is pending.",
    ("backend", "partition"),
)
AGENT_DELIVERED = Metric(
    "headrace_agent_items_delivered_total", "counter", "Items that the backend acknowledged.", ("backend", "partition")
)
AGENT_RULED_OUT = Metric(
    "headrace_agent_items_ruled_out_total",
    "counter",
    "Items dropped by a write_relabel_configs rule, named by its index (empty: no label was left).",
    ("backend", "partition", "rule"),
)
AGENT_REJECTED = Metric(
    "headrace_agent_items_rejected_total",
    "counter",
    "Items that the backend refused as out of order or repeated when they were sent again: it had them before.",
    ("backend", "partition", "reason"),
)
AGENT_DEAD_LETTERED = Metric(
    "headrace_agent_items_dead_lettered_total",
    "counter",
    "Items stored in the dead-letter topic because the backend rejected them for good, or they could not be read.",
    ("backend", "partition", "reason"),
)
AGENT_RETURNED = Metric(
    "headrace_agent_items_returned_total",
    "counter",
    "Items taken and given back undelivered at a rebalance, a reload or the end; they are taken again.",
    ("backend", "partition"),
)
AGENT_PENDING = Metric(
    "headrace_agent_items_pending", "gauge", "Items taken that have no outcome yet.", ("backend", "partition")
)
AGENT_UNEXPLAINED = Metric(
    "headrace_agent_ledger_difference",
    "gauge",
    "By how much the ledger does not close: items of settled records that have no outcome. Anything but 0 is a fault.",
    ("backend", "partition"),
)
AGENT_MISSING_RECORDS = Metric(
    "headrace_agent_missing_records_total",
    "counter",
    "Records that Kafka acknowledged to a producer and did not have any more for this backend: retention (offsets "
    "deleted before they were delivered, transaction markers included), or gap (a hole in a producer's numbers).",
    ("backend", "partition", "reason"),
)
AGENT_MISSING_ITEMS = Metric(
    "headrace_agent_missing_items_total",
    "counter",
    "Samples or lines that were in such records, as far as their producers have gone on and so tell.",
    ("backend", "partition", "reason"),
)
AGENT_GAPS = Metric(
    "headrace_agent_producer_gaps_total",
    "counter",
    "Holes found in the numbers that a producer gives its records in a partition.",
    ("backend", "partition"),
)
AGENT_REPEATS = Metric(
    "headrace_agent_producer_repeats_total",
    "counter",
    "Records whose producer's number had been there before: Kafka has stored them twice.",
    ("backend", "partition"),
)
AGENT_INCIDENTS = Metric(
    "headrace_agent_incidents_total",
    "counter",
    "Times that Kafka had nothing where a partition was to be read on, by kind: retention, log_ended, topic_replaced, "
    "offsets_gone.",
    ("backend", "partition", "kind"),
)
AGENT_REQUESTS = Metric(
    "headrace_agent_requests_total",
    "counter",
    "Requests by what became of them: delivered, retry, rejected, refused.",
    ("backend", "outcome"),
)
AGENT_REQUEST_SECONDS = Metric(
    "headrace_agent_request_duration_seconds",
    "histogram",
    "From sending a request to its outcome.",
    ("backend",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
AGENT_REQUEST_BYTES = Metric(
    "headrace_agent_request_bytes_total",
    "counter",
    "Bytes of request bodies sent, every attempt counted.",
    ("backend",),
)
AGENT_LAG = Metric(
    "headrace_agent_lag_records",
    "gauge",
    "Records in the partition that have no outcome at this backend yet.",
    ("backend", "partition"),
)
AGENT_BACKFILL = Metric(
    "headrace_agent_backfill_records",
    "gauge",
    "Records of the partition that fresh_first has left for later and that have no outcome yet.",
    ("backend", "partition"),
)
AGENT_OLDEST = Metric(
    "headrace_agent_oldest_pending_seconds",
    "gauge",
    "Age of the oldest record taken that has no outcome yet; 0 when there is none.",
    ("backend",),
)
AGENT_STATE = Metric(
    "headrace_agent_state",
    "gauge",
    "1 for the state the backend is in: idle, delivering, retrying, paused.",
    ("backend", "state"),
)

AGENT_RETENTION_USED = Metric(
    "headrace_agent_retention_used_ratio",
    "gauge",
    "Share of Kafka's retention that the oldest record without an outcome has used up: from 1 on it may be deleted.",
    ("backend", "partition"),
)

# --- agent, under the names of Prometheus's remote write ------------------------------------------------------------
# Names, kinds, labels and meanings are Prometheus's own (storage/remote/queue_manager.go and write.go), so that its
# mixin, its dashboards and everybody's alerts work. What has no meaning here (enqueue_retries, the WAL) is left out.

_REMOTE = ("remote_name", "url")
_SEND_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)

REMOTE_SAMPLES = Metric(
    "prometheus_remote_storage_samples_total",
    "counter",
    "Samples in requests sent; each attempt counts.",
    _REMOTE,
)
REMOTE_HISTOGRAMS = Metric(
    "prometheus_remote_storage_histograms_total",
    "counter",
    "Native histograms in requests sent; each attempt counts.",
    _REMOTE,
)
REMOTE_EXEMPLARS = Metric(
    "prometheus_remote_storage_exemplars_total",
    "counter",
    "Exemplars in requests sent; each attempt counts.",
    _REMOTE,
)
REMOTE_METADATA = Metric(
    "prometheus_remote_storage_metadata_total", "counter", "Metadata entries that the backend took.", _REMOTE
)
REMOTE_SAMPLES_FAILED = Metric(
    "prometheus_remote_storage_samples_failed_total",
    "counter",
    "Samples that the backend rejected for good, or that nobody can read: they are in the dead-letter topic.",
    _REMOTE,
)
REMOTE_HISTOGRAMS_FAILED = Metric(
    "prometheus_remote_storage_histograms_failed_total", "counter", "The same for native histograms.", _REMOTE
)
REMOTE_EXEMPLARS_FAILED = Metric(
    "prometheus_remote_storage_exemplars_failed_total", "counter", "The same for exemplars.", _REMOTE
)
REMOTE_METADATA_FAILED = Metric(
    "prometheus_remote_storage_metadata_failed_total", "counter", "The same for metadata entries.", _REMOTE
)
REMOTE_SAMPLES_RETRIED = Metric(
    "prometheus_remote_storage_samples_retried_total",
    "counter",
    "Samples in requests that failed and are sent again; a backend that refuses us is one that fails.",
    _REMOTE,
)
REMOTE_HISTOGRAMS_RETRIED = Metric(
    "prometheus_remote_storage_histograms_retried_total", "counter", "The same for native histograms.", _REMOTE
)
REMOTE_EXEMPLARS_RETRIED = Metric(
    "prometheus_remote_storage_exemplars_retried_total", "counter", "The same for exemplars.", _REMOTE
)
REMOTE_METADATA_RETRIED = Metric(
    "prometheus_remote_storage_metadata_retried_total", "counter", "The same for metadata entries.", _REMOTE
)
REMOTE_SAMPLES_DROPPED = Metric(
    "prometheus_remote_storage_samples_dropped_total",
    "counter",
    "Samples not sent: dropped_series (write_relabel_configs), too_old (sample_age_limit).",
    (*_REMOTE, "reason"),
)
REMOTE_HISTOGRAMS_DROPPED = Metric(
    "prometheus_remote_storage_histograms_dropped_total",
    "counter",
    "The same for native histograms. Those that send_native_histograms leaves out are not among them.",
    (*_REMOTE, "reason"),
)
REMOTE_EXEMPLARS_DROPPED = Metric(
    "prometheus_remote_storage_exemplars_dropped_total",
    "counter",
    "The same for exemplars. Those that send_exemplars leaves out are not among them.",
    (*_REMOTE, "reason"),
)
REMOTE_SAMPLES_PENDING = Metric(
    "prometheus_remote_storage_samples_pending", "gauge", "Samples in hand; the queue itself is Kafka.", _REMOTE
)
REMOTE_HISTOGRAMS_PENDING = Metric(
    "prometheus_remote_storage_histograms_pending", "gauge", "Native histograms in hand.", _REMOTE
)
REMOTE_EXEMPLARS_PENDING = Metric("prometheus_remote_storage_exemplars_pending", "gauge", "Exemplars in hand.", _REMOTE)
REMOTE_BYTES = Metric(
    "prometheus_remote_storage_bytes_total",
    "counter",
    "Bytes of requests that the backend took or rejected, compressed; attempts that failed do not count.",
    _REMOTE,
)
REMOTE_METADATA_BYTES = Metric(
    "prometheus_remote_storage_metadata_bytes_total", "counter", "The same for requests of metadata alone.", _REMOTE
)
REMOTE_SEND_SECONDS = Metric(
    "prometheus_remote_storage_sent_batch_duration_seconds",
    "histogram",
    "From sending a request to its answer.",
    _REMOTE,
    _SEND_SECONDS,
)
REMOTE_SHARDS = Metric(
    "prometheus_remote_storage_shards",
    "gauge",
    "Requests that may be in flight at once: partitions in hand, unless the backend bears fewer.",
    _REMOTE,
)
REMOTE_SHARDS_MAX = Metric("prometheus_remote_storage_shards_max", "gauge", "The upper bound of shards.", _REMOTE)
REMOTE_SHARDS_MIN = Metric("prometheus_remote_storage_shards_min", "gauge", "The lower bound of shards.", _REMOTE)
REMOTE_SHARDS_DESIRED = Metric(
    "prometheus_remote_storage_shards_desired",
    "gauge",
    "Requests in flight, and partitions waiting for a turn.",
    _REMOTE,
)
REMOTE_SHARD_CAPACITY = Metric(
    "prometheus_remote_storage_shard_capacity", "gauge", "The most samples of a partition in hand at once.", _REMOTE
)
REMOTE_MAX_SAMPLES_PER_SEND = Metric(
    "prometheus_remote_storage_max_samples_per_send", "gauge", "The most samples in a request.", _REMOTE
)
REMOTE_QUEUE_HIGHEST = Metric(
    "prometheus_remote_storage_queue_highest_timestamp_seconds",
    "gauge",
    "The newest timestamp that is in Kafka for this backend, as far as is known; 0: none yet.",
    _REMOTE,
)
REMOTE_QUEUE_HIGHEST_SENT = Metric(
    "prometheus_remote_storage_queue_highest_sent_timestamp_seconds",
    "gauge",
    "The newest timestamp that the backend has taken, or rejected for good; 0: none yet.",
    _REMOTE,
)
REMOTE_HIGHEST = Metric(
    "prometheus_remote_storage_highest_timestamp_in_seconds",
    "gauge",
    "The newest timestamp read from Kafka; 0: none yet.",
)
REMOTE_SAMPLES_IN = Metric("prometheus_remote_storage_samples_in_total", "counter", "Samples read from Kafka.")
REMOTE_HISTOGRAMS_IN = Metric(
    "prometheus_remote_storage_histograms_in_total", "counter", "Native histograms read from Kafka."
)
REMOTE_EXEMPLARS_IN = Metric("prometheus_remote_storage_exemplars_in_total", "counter", "Exemplars read from Kafka.")

REMOTE_WRITE = tuple(value for name, value in list(globals().items()) if name.startswith("REMOTE_"))
"""All of these names."""

# --- agent, under the names of Loki's clients ------------------------------------------------------------------------
# The same numbers twice: as Promtail names them, and as Alloy's loki.write does. `host` is that of the url.

_LOKI_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LOKI_LATE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)

PROMTAIL_ENCODED_BYTES = Metric(
    "promtail_encoded_bytes_total", "counter", "Bytes of request bodies sent, every attempt counted.", ("host",)
)
PROMTAIL_SENT_BYTES = Metric("promtail_sent_bytes_total", "counter", "Bytes of requests that Loki took.", ("host",))
PROMTAIL_SENT_ENTRIES = Metric("promtail_sent_entries_total", "counter", "Lines that Loki took.", ("host",))
PROMTAIL_DROPPED_BYTES = Metric(
    "promtail_dropped_bytes_total",
    "counter",
    "Bytes of lines that Loki rejected for good: they are in the dead-letter topic.",
    ("host", "tenant", "reason"),
)
PROMTAIL_DROPPED_ENTRIES = Metric(
    "promtail_dropped_entries_total",
    "counter",
    "Lines that Loki rejected for good: they are in the dead-letter topic.",
    ("host", "tenant", "reason"),
)
PROMTAIL_SECONDS = Metric(
    "promtail_request_duration_seconds",
    "histogram",
    "From sending a request to its answer; status_code -1: there was none.",
    ("status_code", "host"),
    _LOKI_SECONDS,
)
PROMTAIL_RETRIES = Metric(
    "promtail_batch_retries_total", "counter", "Requests that failed and are sent again.", ("host", "tenant")
)
LOKI_ENCODED_BYTES = Metric(
    "loki_write_encoded_bytes_total",
    "counter",
    "Bytes of request bodies sent, every attempt counted.",
    ("host", "tenant"),
)
LOKI_SENT_BYTES = Metric(
    "loki_write_sent_bytes_total", "counter", "Bytes of requests that Loki took.", ("host", "tenant")
)
LOKI_SENT_ENTRIES = Metric("loki_write_sent_entries_total", "counter", "Lines that Loki took.", ("host", "tenant"))
LOKI_DROPPED_BYTES = Metric(
    "loki_write_dropped_bytes_total",
    "counter",
    "Bytes of lines that Loki rejected for good: they are in the dead-letter topic.",
    ("host", "tenant", "reason"),
)
LOKI_DROPPED_ENTRIES = Metric(
    "loki_write_dropped_entries_total",
    "counter",
    "Lines that Loki rejected for good: they are in the dead-letter topic.",
    ("host", "tenant", "reason"),
)
LOKI_SECONDS = Metric(
    "loki_write_request_duration_seconds",
    "histogram",
    "From sending a request to its answer; status_code -1: there was none.",
    ("status_code", "host", "tenant"),
    _LOKI_SECONDS,
)
LOKI_RETRIES = Metric(
    "loki_write_batch_retries_total", "counter", "Requests that failed and are sent again.", ("host", "tenant")
)
LOKI_LATENCY = Metric(
    "loki_write_entry_propagation_latency_seconds",
    "histogram",
    "From the newest line of a request to Loki's answer that takes it; one observation a request.",
    ("host", "tenant"),
    _LOKI_LATE_SECONDS,
)

LOKI_CLIENTS = tuple(value for name, value in list(globals().items()) if name.startswith(("PROMTAIL_", "LOKI_")))
"""All of these names."""

# --- sink --------------------------------------------------------------------------------------------------------

SINK_REQUESTS = Metric("headrace_sink_requests_total", "counter", "Write requests by how they ended.", ("answer",))
SINK_SAMPLES = Metric("headrace_sink_samples_total", "counter", "Samples accepted, duplicates among them.")
SINK_LINES = Metric("headrace_sink_lines_total", "counter", "Log lines accepted, duplicates among them.")
SINK_SERIES = Metric("headrace_sink_series", "gauge", "Series followed one by one.")
SINK_STREAMS = Metric("headrace_sink_streams", "gauge", "Log streams followed one by one.")
SINK_DUPLICATES = Metric("headrace_sink_duplicates", "gauge", "Samples or lines that came again.", ("kind",))
SINK_REORDERS = Metric("headrace_sink_reorders", "gauge", "Samples or lines that came after a later one.", ("kind",))
SINK_GAPS = Metric("headrace_sink_gaps", "gauge", "Steps between samples of a series longer than usual.")
SINK_MISSING_LINES = Metric("headrace_sink_missing_lines", "gauge", "Lines missing by their sequence numbers.")

# --- run ---------------------------------------------------------------------------------------------------------

RUN_CHILD_UP = Metric("headrace_run_child_up", "gauge", "1 while the child process runs.", ("child",))
RUN_CHILD_RESTARTS = Metric(
    "headrace_run_child_restarts_total", "counter", "Times a child ended unasked and was started again.", ("child",)
)
RUN_CHILDREN_KILLED = Metric(
    "headrace_run_children_killed_total", "counter", "Children that had to be killed when they did not stop in time."
)
