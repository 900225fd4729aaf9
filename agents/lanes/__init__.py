"""One partition on its way to the backend, and how many may be under way at once."""
