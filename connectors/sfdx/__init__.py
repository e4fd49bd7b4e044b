"""The org's metadata as source, as it is deployed; and how to read it for the contracts."""
