"""The one HTTP session builder, and the errors of requests that get no answer."""

from pipeline.http_client.beginning import beginning
from pipeline.http_client.bulk import Answer, Buffers
from pipeline.http_client.client import USER_AGENT, HttpClient
from pipeline.http_client.errors import HttpFailed, shown

__all__ = ["USER_AGENT", "Answer", "Buffers", "HttpClient", "HttpFailed", "beginning", "shown"]
