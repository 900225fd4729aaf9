"""What checking a configuration says of the files that it names."""

from __future__ import annotations

import pytest

from pipeline.config.load import load
from pipeline.roles.check_config import check
from topics.errors import ConfigError

JOB = "scrape_configs:\n- job_name: a\n"
BACKEND = "remote_write:\n- url: http://host/write\n"


def problems(tmp_path, text, **options):
    """What is said to be wrong, and what is only remarked: key paths with messages."""
    path = tmp_path / "c.yml"
    path.write_text(text)
    try:
        config = check(path, environ={}, **options)
    except ConfigError as error:
        return [f"{one.line} {one.path}: {one.message}" for one in error.problems], []
    return [], [f"{one.line} {one.path}: {one.message}" for one in config.notes]


@pytest.mark.parametrize(
    ("text", "line", "path", "fatal"),
    [
        ("  authorization: {credentials_file: gone}\n", 3, "authorization.credentials_file", True),
        ("  bearer_token_file: gone\n", 3, "bearer_token_file", True),
        ("  tls_config: {cert_file: gone, key: k}\n", 3, "tls_config.cert_file", True),
        ("  tls_config: {cert: c, key_file: gone}\n", 3, "tls_config.key_file", True),
        ("  tls_config:\n    ca_file: gone\n", 4, "tls_config.ca_file", False),
        ("  basic_auth: {username_file: gone}\n", 3, "basic_auth.username_file", False),
        ("  basic_auth: {password_file: gone}\n", 3, "basic_auth.password_file", False),
        ("  oauth2: {client_id: a, token_url: 'http://h', client_secret_file: gone}\n", 3,
         "oauth2.client_secret_file", False),
        ("  oauth2: {client_id: a, token_url: 'http://h', tls_config: {ca_file: gone}}\n", 3,
         "oauth2.tls_config.ca_file", False),
        ("  http_headers: {X: {files: [gone]}}\n", 3, "http_headers.X.files[0]", False),
        ("  kubernetes_sd_configs: [{role: pod, api_server: 'https://h', tls_config: {cert_file: gone, key: k}}]\n", 3,
         "kubernetes_sd_configs[0].tls_config.cert_file", True),
        ("  kubernetes_sd_configs: [{role: pod, api_server: 'https://h', bearer_token_file: gone}]\n", 3,
         "kubernetes_sd_configs[0].bearer_token_file", False),
        ("  http_sd_configs: [{url: 'http://h', bearer_token_file: gone}]\n", 3,
         "http_sd_configs[0].bearer_token_file", False),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path, text, line, path, fatal):
    said, noted = problems(tmp_path, JOB + text)
    expected = f"{line} scrape_configs[0].{path}: {tmp_path / 'gone'}: no such file"
    assert expected in (said if fatal else noted)
    assert load(tmp_path / "c.yml", environ={}), "a running role does not refuse it"
    assert expected not in str(problems(tmp_path, JOB + text, syntax_only=True))
    (tmp_path / "gone").write_text("here")
    assert expected not in str(problems(tmp_path, JOB + text))


def test_files_of_backends_are_remarked_only(tmp_path):
    text = BACKEND + "  authorization: {credentials_file: gone}\n"
    name = tmp_path / "gone"
    assert problems(tmp_path, text) == ([], [f"3 remote_write[0].authorization.credentials_file: {name}: no such file"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.yml", "- targets: host\n", "targets must be a list"),
        ("t.yml", "- targets: [host/path]\n", '"host/path" is not a valid hostname'),
        ("t.yml", "- targets: [a]\n  strange: b\n", "nothing else"),
        ("t.json", '[{"targets": ["a"]', "not JSON"),
        ("t.json", "[null]", "expected a mapping"),
    ],
)
def test_target_files_are_read(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    text = JOB + f"  file_sd_configs:\n  - files: ['t*.{name.partition('.')[2]}']\n"
    (said,), _ = problems(tmp_path, text)
    assert said.startswith("4 scrape_configs[0].file_sd_configs[0].files[0]: ")
    assert words in said
    assert str(tmp_path / name) in said
    assert problems(tmp_path, text, syntax_only=True) == ([], [])


def test_a_target_file_that_is_not_there_is_remarked(tmp_path):
    said, (noted,) = problems(tmp_path, JOB + "  file_sd_configs:\n  - files: [t.yml]\n")
    assert said == []
    assert noted == f"4 scrape_configs[0].file_sd_configs[0].files[0]: {tmp_path / 't.yml'}: no such file yet"


@pytest.mark.parametrize("syntax_only", [False, True])
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("__scrape_interval__: never", 'not a valid duration: "never"'),
        ("__scrape_interval__: 0s", "scrape interval cannot be 0"),
        ("__scrape_timeout__: 5m", "scrape timeout cannot be greater than scrape interval"),
    ],
)
def test_targets_written_down_must_be_fit_to_be_scraped(tmp_path, labels, words, syntax_only):
    text = JOB + f"  static_configs:\n  - targets: [b]\n  - {{targets: [host], labels: {{{labels}}}}}\n"
    (said,), _ = problems(tmp_path, text, syntax_only=syntax_only)
    assert said.startswith('5 scrape_configs[0].static_configs[1]: target "host": ')
    assert words in said


def test_jobs_of_other_files_are_looked_at_where_they_stand(tmp_path):
    (tmp_path / "more.yml").write_text(JOB + "  bearer_token_file: gone\n")
    (said,), _ = problems(tmp_path, "scrape_config_files: [more.yml]\n")
    assert said == f"3 scrape_configs[0].bearer_token_file: {tmp_path / 'gone'}: no such file"
    path = tmp_path / "c.yml"
    with pytest.raises(ConfigError, match=r"more\.yml:3: "):
        check(path, environ={})
    assert check(path, environ={}, syntax_only=True).scrape_configs == ()
