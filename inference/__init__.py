"""The regional model that labels free text where it lies."""
