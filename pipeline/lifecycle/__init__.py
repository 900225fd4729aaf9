"""One process: signals, reload, web server, ready; soft stop to a deadline, then hard."""
