"""The auditor's replay: re-reads raw topics and holds them against the ledger."""
