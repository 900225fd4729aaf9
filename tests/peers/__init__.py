"""The real programs that the tests talk to: which they are, where they lie, and how they are had."""
