"""The `headrace` command: arguments in, exit codes out, no logic."""
