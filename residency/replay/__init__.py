"""The auditor's replay: does the ledger say what the raw records give? Pure."""
