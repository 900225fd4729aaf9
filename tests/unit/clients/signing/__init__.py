"""Signers, checked by code that is not theirs."""
