"""Claims of files by paths."""

from __future__ import annotations

from pipeline.tail.claims import Claims
from pipeline.tail.identity import FileKey

KEY = FileKey("job", 1, 2)


def test_a_file_belongs_to_one_path_until_it_gave_every_claim_back() -> None:
    claims = Claims()
    assert claims.take(KEY, "/a")
    assert claims.take(KEY, "/a")
    assert not claims.take(KEY, "/b")
    claims.release([KEY])
    assert claims.holder(KEY) == "/a"
    claims.release([KEY, KEY])
    assert claims.holder(KEY) is None
    assert claims.take(KEY, "/b")
