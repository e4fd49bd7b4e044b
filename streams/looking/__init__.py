"""The desk where people and tools of a region look into its vault."""
