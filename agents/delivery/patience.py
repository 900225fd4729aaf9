"""How far a rejected request is divided to find what is bad in it: to the single item, but not at any price.

A few bad items among many are found with some twenty requests each. Where everything is bad (all too old, or above a
tenant's limit) that would be two requests for each item, and a partition that stands still for nothing. So after a
number of answers in vain what is left is divided no further than into small parts; a part that is rejected goes to the
dead-letter topic whole, where the good in it waits for `headrace dlq redrive`. A backend that goes on rejecting is
asked less and less; one that takes requests again gets all patience back.
"""

from __future__ import annotations

MOST_ANSWERS = 1000
LEAST_ANSWERS = 16


class Patience:
    """That with one backend."""

    def __init__(self, most: int = MOST_ANSWERS) -> None:
        self._most = most
        self._answers = most

    def search(self, reason: str, items: int) -> Search:
        """A request of so many items was rejected, and is divided now."""
        return Search(self, reason, self._answers, items)

    def taken(self) -> None:
        """The backend took a whole request."""
        self._answers = min(self._most, self._answers * 2)

    def exhausted(self) -> None:
        """A search came to its end before everything bad was found."""
        self._answers = max(LEAST_ANSWERS, self._answers // 2)


class Search:
    """What is known while one request is divided. `reason`: why it was rejected as a whole."""

    def __init__(self, patience: Patience, reason: str, answers: int, items: int) -> None:
        self.reason = reason
        self._patience = patience
        self._answers = answers
        self._part = -(-items // answers)
        self._ended = False

    def rejected(self, items: int) -> bool:
        """A part of so many items was rejected too: whether it is to be divided further."""
        if self._answers > 0:
            self._answers -= 1
            return True
        if not self._ended and items > 1:
            self._ended = True
            self._patience.exhausted()
        return items > self._part
