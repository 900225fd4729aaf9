"""Configuration files of every kind of wrong: each key of Prometheus with each kind of value, and whole documents.

All of it is made here; nothing is taken from Prometheus's own test files. A case is a name and the text of a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is written after the colon of a key.
VALUES = {
    "null": "", "empty": "''", "word": "abc", "zero": "0", "five": "5", "minus": "-1", "float": "1.5", "exp": "1e3",
    "under": "1_000", "hex": "0x10", "quoted": '"5"', "true": "true", "yes": "yes", "quoted_true": '"true"',
    "list": "[abc]", "no_list": "[]", "null_list": "[null]", "map": "{abc: def}", "no_map": "{}", "duration": "30s",
    "day": "1d", "ms": "5ms", "spaced": "'1 h'", "go_duration": "1.5s", "size": "10MB", "size_i": "1.5MiB",
    "file": "present.txt", "absent": "absent.txt", "url": "http://host:9/path", "no_url": "':bad'", "utf8": "'é b'",
    "dollar": "$1", "var": "${1}_x", "mixed": "a$1.b", "TLS12": "TLS12", "upper": "REPLACE", "legacy": "legacy",
    "protocols": "[PrometheusProto, PrometheusText0.0.4]",
    "protocols2": "[OpenMetricsText2.0.0]", "protocol": "OpenMetricsText1.0.0", "list_map": "[{a: b}]",
    "map_list": "{a: [b]}", "map_null": "{a: }", "labels": "{a: b, c: '1'}", "bad_label": "{'a-b': c}", "dots": "dots",
    "nested": "[[a]]", "port": "[host:9]", "target_url": "['http://host']", "regex": "'(a)'", "bad_regex": "'(a'",
}  # fmt: skip

_SCRAPE = """\
scrape_configs:
- job_name: job
{rest}"""
_REMOTE = """\
remote_write:
- url: http://host/write
{rest}"""

# A place: the text around a key, and the keys that are tried there.
PLACES: dict[str, tuple[str, str]] = {
    "global": (
        "global:\n  {line}\nscrape_configs:\n- job_name: job\n",
        "scrape_interval scrape_timeout scrape_protocols evaluation_interval rule_query_offset external_labels "
        "body_size_limit sample_limit target_limit label_limit label_name_length_limit label_value_length_limit "
        "keep_dropped_targets metric_name_validation_scheme metric_name_escaping_scheme scrape_native_histograms "
        "convert_classic_histograms_to_nhcb always_scrape_classic_histograms extra_scrape_metrics unheard_of",
    ),
    "scrape": (
        _SCRAPE.format(rest="  {line}\n"),
        "honor_labels honor_timestamps track_timestamps_staleness params scrape_interval scrape_timeout "
        "scrape_protocols fallback_scrape_protocol scrape_native_histograms always_scrape_classic_histograms "
        "convert_classic_histograms_to_nhcb metrics_path scheme enable_compression body_size_limit sample_limit "
        "target_limit label_limit label_name_length_limit label_value_length_limit native_histogram_bucket_limit "
        "native_histogram_min_bucket_factor keep_dropped_targets metric_name_validation_scheme "
        "metric_name_escaping_scheme extra_scrape_metrics relabel_configs metric_relabel_configs static_configs "
        "file_sd_configs http_sd_configs dns_sd_configs kubernetes_sd_configs consul_sd_configs ec2_sd_configs "
        "basic_auth authorization oauth2 bearer_token bearer_token_file tls_config follow_redirects enable_http2 "
        "proxy_url no_proxy proxy_from_environment proxy_connect_header http_headers unheard_of",
    ),
    "job": ("scrape_configs:\n- {line}\n", "job_name"),
    "legacy_job": (
        "global: {{metric_name_validation_scheme: legacy}}\nscrape_configs:\n- job_name: job\n  {line}\n",
        "metric_name_validation_scheme metric_name_escaping_scheme",
    ),
    "tls": (
        _SCRAPE.format(rest="  tls_config:\n    {line}\n"),
        "ca cert key ca_file cert_file key_file server_name insecure_skip_verify min_version max_version unheard_of",
    ),
    "tls_key": (
        _SCRAPE.format(rest="  tls_config:\n    cert_file: present.txt\n    {line}\n"),
        "key key_file cert min_version",
    ),
    "basic": (
        _SCRAPE.format(rest="  basic_auth:\n    {line}\n"),
        "username username_file password password_file unheard_of",
    ),
    "authorization": (
        _SCRAPE.format(rest="  authorization:\n    {line}\n"),
        "type credentials credentials_file unheard_of",
    ),
    "oauth2": (
        _SCRAPE.format(rest="  oauth2:\n    client_id: me\n    token_url: http://host/token\n    {line}\n"),
        "client_secret client_secret_file scopes endpoint_params tls_config proxy_url grant_type signature_algorithm "
        "iss audience claims client_certificate_key client_certificate_key_file client_certificate_key_id unheard_of",
    ),
    "oauth2_bare": (_SCRAPE.format(rest="  oauth2:\n    {line}\n"), "client_id token_url"),
    "header": (
        _SCRAPE.format(rest="  http_headers:\n    X-Thing:\n      {line}\n"),
        "values secrets files unheard_of",
    ),
    "static": (_SCRAPE.format(rest="  static_configs:\n  - {line}\n"), "targets labels unheard_of"),
    "file_sd": (
        _SCRAPE.format(rest="  file_sd_configs:\n  - files: [absent.yml]\n    {line}\n"),
        "refresh_interval unheard_of",
    ),
    "file_sd_files": (_SCRAPE.format(rest="  file_sd_configs:\n  - {line}\n"), "files"),
    "http_sd": (
        _SCRAPE.format(rest="  http_sd_configs:\n  - url: http://host/sd\n    {line}\n"),
        "refresh_interval basic_auth bearer_token proxy_url follow_redirects unheard_of",
    ),
    "http_sd_url": (_SCRAPE.format(rest="  http_sd_configs:\n  - {line}\n"), "url"),
    "dns_sd": (
        _SCRAPE.format(rest="  dns_sd_configs:\n  - names: [host]\n    type: A\n    port: 9\n    {line}\n"),
        "refresh_interval unheard_of",
    ),
    "dns_sd_port": (_SCRAPE.format(rest="  dns_sd_configs:\n  - names: [host]\n    type: A\n    {line}\n"), "port"),
    "dns_sd_type": (_SCRAPE.format(rest="  dns_sd_configs:\n  - names: [host]\n    {line}\n"), "type"),
    "dns_sd_names": (_SCRAPE.format(rest="  dns_sd_configs:\n  - {line}\n"), "names"),
    "kubernetes_sd": (
        _SCRAPE.format(rest="  kubernetes_sd_configs:\n  - role: pod\n    {line}\n"),
        "kubeconfig_file api_server namespaces selectors attach_metadata tls_config basic_auth bearer_token_file "
        "unheard_of",
    ),
    "kubernetes_sd_role": (_SCRAPE.format(rest="  kubernetes_sd_configs:\n  - {line}\n"), "role"),
    "consul_sd": (
        _SCRAPE.format(rest="  consul_sd_configs:\n  - {line}\n"),
        "server token datacenter namespace partition tag_separator scheme username password allow_stale "
        "refresh_interval services tags node_meta filter path_prefix unheard_of",
    ),
    "ec2_sd": (
        _SCRAPE.format(rest="  ec2_sd_configs:\n  - region: eu\n    {line}\n"),
        "endpoint access_key secret_key profile role_arn refresh_interval port filters unheard_of",
    ),
    "relabel": (
        _SCRAPE.format(rest="  relabel_configs:\n  - target_label: to\n    {line}\n"),
        "source_labels separator regex modulus replacement action unheard_of",
    ),
    "relabel_target": (_SCRAPE.format(rest="  relabel_configs:\n  - {line}\n"), "target_label action"),
    "relabel_legacy": (
        _SCRAPE.format(rest="  metric_name_validation_scheme: legacy\n  relabel_configs:\n  - {line}\n"),
        "target_label",
    ),
    **{
        f"relabel_{action}": (
            _SCRAPE.format(rest=f"  metric_relabel_configs:\n  - action: {action}\n    {{line}}\n"),
            "source_labels separator regex modulus target_label replacement",
        )
        for action in (
            "keep",
            "drop",
            "hashmod",
            "labelmap",
            "labeldrop",
            "labelkeep",
            "lowercase",
            "uppercase",
            "keepequal",
            "dropequal",
        )
    },
    **{
        f"relabel_{action}_to": (
            _SCRAPE.format(rest=f"  relabel_configs:\n  - action: {action}\n    target_label: to\n    {{line}}\n"),
            "source_labels separator regex modulus replacement",
        )
        for action in ("hashmod", "lowercase", "keepequal", "dropequal")
    },
    "labelmap_legacy": (
        _SCRAPE.format(
            rest="  metric_name_validation_scheme: legacy\n  relabel_configs:\n  - action: labelmap\n    {line}\n"
        ),
        "replacement",
    ),
    "remote_url": ("remote_write:\n- {line}\n", "url"),
    "remote": (
        _REMOTE.format(rest="  {line}\n"),
        "remote_timeout headers name send_exemplars send_native_histograms round_robin_dns protobuf_message "
        "queue_config metadata_config write_relabel_configs basic_auth bearer_token proxy_url follow_redirects "
        "enable_http2 tls_config unheard_of",
    ),
    "queue": (
        _REMOTE.format(rest="  queue_config:\n    {line}\n"),
        "capacity max_shards min_shards max_samples_per_send batch_send_deadline min_backoff max_backoff "
        "retry_on_http_429 sample_age_limit unheard_of",
    ),
    "metadata": (
        _REMOTE.format(rest="  metadata_config:\n    {line}\n"),
        "send send_interval max_samples_per_send unheard_of",
    ),
    "top": ("{line}\n", "global scrape_configs scrape_config_files remote_write rule_files unheard_of"),
}

DOCUMENTS: dict[str, str] = {
    "empty": "",
    "a comment": "# nothing\n",
    "two jobs of one name": "scrape_configs: [{job_name: a}, {job_name: a}]\n",
    "two backends of one name": "remote_write: [{url: http://a, name: x}, {url: http://b, name: x}]\n",
    "two keys": "global: {scrape_interval: 5s, scrape_interval: 6s}\n",
    "not a mapping": "- a\n",
    "tab": "global:\n\tscrape_interval: 5s\n",
    "timeout beyond interval": "scrape_configs: [{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}]\n",
    "timeout beyond global interval": "global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a, "
    "scrape_timeout: 6s}]\n",
    "timeout of global beyond interval": "global: {scrape_timeout: 5m}\n",
    "timeout of global cut": "global: {scrape_timeout: 30s}\nscrape_configs: [{job_name: a, scrape_interval: 5s}]\n",
    "utf8 with legacy": "scrape_configs: [{job_name: a, metric_name_validation_scheme: legacy, "
    "metric_name_escaping_scheme: allow-utf-8}]\n",
    "global utf8 with legacy": "global: {metric_name_validation_scheme: legacy, "
    "metric_name_escaping_scheme: allow-utf-8}\nscrape_configs: [{job_name: a}]\n",
    "global utf8 with legacy and no job": "global: {metric_name_validation_scheme: legacy, "
    "metric_name_escaping_scheme: allow-utf-8}\n",
    "legacy external label": "global: {metric_name_validation_scheme: legacy, external_labels: {'a.b': c}}\n",
    "two ways to authenticate": "scrape_configs: [{job_name: a, basic_auth: {username: a}, bearer_token: b}]\n",
    "authorization and basic": "scrape_configs: [{job_name: a, basic_auth: {username: a}, authorization: {}}]\n",
    "oauth2 and basic": "scrape_configs: [{job_name: a, basic_auth: {username: a}, oauth2: {client_id: a, "
    "token_url: http://h}}]\n",
    "bearer twice": "scrape_configs: [{job_name: a, bearer_token: a, bearer_token_file: present.txt}]\n",
    "basic as authorization": "scrape_configs: [{job_name: a, authorization: {type: ' Basic '}}]\n",
    "password twice": "scrape_configs: [{job_name: a, basic_auth: {password: a, password_file: b}}]\n",
    "username twice": "scrape_configs: [{job_name: a, basic_auth: {username: a, username_file: b}}]\n",
    "credentials twice": "scrape_configs: [{job_name: a, authorization: {credentials: a, credentials_file: b}}]\n",
    "secret twice": "scrape_configs: [{job_name: a, oauth2: {client_id: a, token_url: http://h, client_secret: a, "
    "client_secret_file: b}}]\n",
    "absent credentials": "scrape_configs: [{job_name: a, authorization: {credentials_file: absent.txt}}]\n",
    "absent token": "scrape_configs: [{job_name: a, bearer_token_file: absent.txt}]\n",
    "absent password": "scrape_configs: [{job_name: a, basic_auth: {password_file: absent.txt}}]\n",
    "absent certificate": "scrape_configs: [{job_name: a, tls_config: {cert_file: absent.txt, key_file: "
    "present.txt}}]\n",
    "absent key": "scrape_configs: [{job_name: a, tls_config: {cert_file: present.txt, key_file: absent.txt}}]\n",
    "absent authority": "scrape_configs: [{job_name: a, tls_config: {ca_file: absent.txt}}]\n",
    "absent certificate of kubernetes": "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod, "
    "api_server: 'https://h', tls_config: {cert_file: absent.txt, key_file: present.txt}}]}]\n",
    "versions crossed": "scrape_configs: [{job_name: a, tls_config: {min_version: TLS13, max_version: TLS12}}]\n",
    "connect header alone": "scrape_configs: [{job_name: a, proxy_connect_header: {a: [b]}}]\n",
    "no_proxy alone": "scrape_configs: [{job_name: a, no_proxy: b}]\n",
    "no_proxy and environment": "scrape_configs: [{job_name: a, proxy_from_environment: true, no_proxy: b}]\n",
    "two proxies": "scrape_configs: [{job_name: a, proxy_from_environment: true, proxy_url: 'http://p'}]\n",
    "reserved header": "scrape_configs: [{job_name: a, http_headers: {hOst: {values: [a]}}}]\n",
    "reserved header of a backend": "remote_write: [{url: http://a, headers: {Content-Encoding: a}}]\n",
    "authorization header of a backend": "remote_write: [{url: http://a, headers: {Authorization: a}}]\n",
    "target is a url": "scrape_configs: [{job_name: a, static_configs: [{targets: ['http://h/']}]}]\n",
    "target is a url before relabelling": "scrape_configs: [{job_name: a, static_configs: [{targets: ['h/']}], "
    "relabel_configs: [{target_label: __address__, replacement: h}]}]\n",
    "target is a url after relabelling": "scrape_configs: [{job_name: a, static_configs: [{targets: [h]}], "
    "relabel_configs: [{target_label: __address__, replacement: h/x}]}]\n",
    "address lost": "scrape_configs: [{job_name: a, static_configs: [{targets: [h]}], relabel_configs: "
    "[{target_label: __address__, replacement: ''}]}]\n",
    "scheme lost": "scrape_configs: [{job_name: a, static_configs: [{targets: [h], labels: {__scheme__: ftp}}]}]\n",
    "interval of a target": "scrape_configs: [{job_name: a, static_configs: [{targets: [h], labels: "
    "{__scrape_interval__: never}}]}]\n",
    "interval of a target is zero": "scrape_configs: [{job_name: a, static_configs: [{targets: [h], labels: "
    "{__scrape_interval__: 0s}}]}]\n",
    "timeout of a target beyond": "scrape_configs: [{job_name: a, static_configs: [{targets: [h], labels: "
    "{__scrape_timeout__: 2m}}]}]\n",
    "empty target": "scrape_configs: [{job_name: a, static_configs: [{targets: ['']}]}]\n",
    "null target": "scrape_configs: [{job_name: a, static_configs: [{targets: [null]}]}]\n",
    "null group": "scrape_configs: [{job_name: a, static_configs: [null]}]\n",
    "null job": "scrape_configs: [null]\n",
    "null backend": "remote_write: [null]\n",
    "null rule": "scrape_configs: [{job_name: a, relabel_configs: [null]}]\n",
    "null metric rule": "scrape_configs: [{job_name: a, metric_relabel_configs: [null]}]\n",
    "null rule of a backend": "remote_write: [{url: http://a, write_relabel_configs: [null]}]\n",
    "job files": "scrape_config_files: [jobs.yml]\n",
    "job files absent": "scrape_config_files: [absent.yml]\n",
    "job files twice": "scrape_config_files: [jobs.yml, jobs.yml]\n",
    "job files clash": "scrape_config_files: [jobs.yml]\nscrape_configs: [{job_name: far}]\n",
    "job files bad": "scrape_config_files: [bad_jobs.yml]\n",
    "job files with global": "scrape_config_files: [global_jobs.yml]\n",
    "job files of no pattern": "scrape_config_files: ['*/jobs.yml']\n",
    "target file": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [targets.yml]}]}]\n",
    "target file json": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [targets.json]}]}]\n",
    "target file bad": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [bad_targets.yml]}]}]\n",
    "target file bad json": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [bad_targets.json]}]}]\n",
    "target file with null": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [null_targets.yml]}]}]\n",
    "target file with a url": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [url_targets.yml]}]}]\n",
    "target file with a strange key": "scrape_configs: [{job_name: a, file_sd_configs: [{files: "
    "[strange_targets.yml]}]}]\n",
    "target file absent": "scrape_configs: [{job_name: a, file_sd_configs: [{files: [absent.yml]}]}]\n",
    "target files by a star": "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['bad_targets.y*']}]}]\n",
    "queue shards crossed": "remote_write: [{url: http://a, queue_config: {min_shards: 5, max_shards: 4}}]\n",
    "queue backoff crossed": "remote_write: [{url: http://a, queue_config: {min_backoff: 5s, max_backoff: 4s}}]\n",
    "two auths of a backend": "remote_write: [{url: http://a, basic_auth: {username: a}, sigv4: {}}]\n",
    "labels of two groups": "scrape_configs: [{job_name: a, static_configs: [{targets: [h], labels: {'é b': c}}]}]\n",
    "merge key": "x: &x {a: b}\nglobal:\n  external_labels:\n    <<: *x\n",
    "anchors": "global:\n  external_labels: &l {a: b}\nscrape_configs: [{job_name: a, static_configs: [{targets: [h], "
    "labels: *l}]}]\n",
    "two documents": "global: {}\n---\nglobal: {}\n",
    "selector of another role": "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: node, selectors: "
    "[{role: pod, label: a=b}]}]}]\n",
    "bad selector": "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod, selectors: [{role: pod, "
    "label: 'a in (b'}]}]}]\n",
    "own namespace with server": "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod, api_server: "
    "'http://h', namespaces: {own_namespace: true}}]}]\n",
    "kubeconfig with server": "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod, api_server: "
    "'http://h', kubeconfig_file: f}]}]\n",
    "http sd without url": "scrape_configs: [{job_name: a, http_sd_configs: [{}]}]\n",
    "http sd of another scheme": "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'ftp://h/'}]}]\n",
    "http sd without host": "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http:///x'}]}]\n",
    "dns sd without names": "scrape_configs: [{job_name: a, dns_sd_configs: [{type: A, port: 1}]}]\n",
    "dns sd srv": "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [h]}]}]\n",
    "dns sd mx without port": "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [h], type: MX}]}]\n",
    "dns sd small letters": "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [h], type: srv}]}]\n",
    "ec2 filter without values": "scrape_configs: [{job_name: a, ec2_sd_configs: [{region: r, filters: [{name: n, "
    "values: []}]}]}]\n",
    "consul with two tokens": "scrape_configs: [{job_name: a, consul_sd_configs: [{token: t, authorization: "
    "{credentials: c}}]}]\n",
    "consul with token and user": "scrape_configs: [{job_name: a, consul_sd_configs: [{username: u, basic_auth: "
    "{username: v}}]}]\n",
}  # fmt: skip

BESIDE = {
    "present.txt": "here\n",
    "jobs.yml": "scrape_configs: [{job_name: far}]\n",
    "bad_jobs.yml": "scrape_configs: [{job_name: far, sample_limit: many}]\n",
    "global_jobs.yml": "global: {}\nscrape_configs: [{job_name: far}]\n",
    "targets.yml": "- targets: [h:9]\n  labels: {a: b}\n",
    "targets.json": '[{"targets": ["h:9"], "labels": {"a": "b"}}]',
    "bad_targets.yml": "- targets: h\n",
    "bad_targets.json": '[{"targets": ["h:9"]',
    "null_targets.yml": "- null\n",
    "url_targets.yml": "- targets: [h/x]\n",
    "strange_targets.yml": "- targets: [h]\n  tags: {a: b}\n",
}
"""Files that lie beside each document."""


def cases() -> Iterator[tuple[str, str]]:
    """Every case: its name, and the text of the file."""
    yield from (place_case for place in PLACES for place_case in _of_place(place))
    for name, text in DOCUMENTS.items():
        yield f"document: {name}", text


def _of_place(place: str) -> Iterator[tuple[str, str]]:
    template, keys = PLACES[place]
    for key in keys.split():
        for value, text in VALUES.items():
            yield (
                f"{place}.{key}: {value}",
                template.replace("{line}", f"{key}: {text}").replace("{{", "{").replace("}}", "}"),
            )
