"""The one builder of HTTP client sessions: TLS, authentication, headers, proxies."""
