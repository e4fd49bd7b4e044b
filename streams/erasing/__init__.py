"""Erasing a person, step by step: see `residency.vault.erasure`."""
