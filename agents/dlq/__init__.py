"""Dead letters: look at them, send them again, or lay them aside for good."""
