"""Postgres: what egress keeps in its region besides the ledger files."""
