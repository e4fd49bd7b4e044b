"""The vault: what stays home, sealed per person. Pure; `connectors.postgres.vault` keeps it."""
