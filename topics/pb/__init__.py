"""Generated from topics/proto by `make proto`; never edited by hand."""
