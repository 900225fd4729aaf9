"""`python -P -m pipeline.cli` is `headrace`; children are started this way, whatever PATH says."""

from pipeline.cli.main import main

main()
