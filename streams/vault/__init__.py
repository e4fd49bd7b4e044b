"""What stays home: the vault's writer, its keys and upkeep, and who is erased from it."""
