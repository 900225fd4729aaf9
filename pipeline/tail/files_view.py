"""The files of a tailer as rows, for the status and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.tail.follower import PathFollower
    from pipeline.tail.followers import Followers
    from pipeline.tail.position_index import Positions


def rows(followers: Followers, store: Positions, now_s: float) -> list[dict[str, Any]]:
    """Every path, sorted: committed position and size of the file being read, bytes unread and for how long, rates of
    the last seconds, last error. Paths that cannot be read are among them.
    """
    found = [_row(follower, store, now_s) for follower in followers if follower.open_files]
    for (job, path), why in followers.troubles.items():
        found.append(
            {
                "job": job,
                "path": path,
                "labels": {},
                "position": 0,
                "size": 0,
                "lag_bytes": 0,
                "lag_s": 0.0,
                "bytes_per_s": 0.0,
                "lines_per_s": 0.0,
                "held_files": 0,
                "last_error": why,
            }
        )
    return sorted(found, key=lambda row: (row["path"], row["job"]))


def _row(follower: PathFollower, store: Positions, now_s: float) -> dict[str, Any]:
    reader = follower.current
    committed = store.get(reader.key)
    return {
        "job": follower.job,
        "path": follower.path,
        "labels": follower.streams.labels,
        "position": committed.offset if committed else 0,
        "size": reader.size,
        "lag_bytes": follower.lag_bytes,
        "lag_s": round(follower.pace.behind_s(now_s, follower.lag_bytes), 3),
        "bytes_per_s": round(follower.pace.bytes_per_s, 1),
        "lines_per_s": round(follower.pace.lines_per_s, 1),
        "held_files": follower.open_files - 1,
        "last_error": follower.error,
    }
