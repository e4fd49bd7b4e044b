"""Rows: their resources, and the path that every written row takes."""
