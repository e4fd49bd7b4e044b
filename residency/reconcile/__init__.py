"""Comparing what the org holds with what the region expects and what its ledger says."""
