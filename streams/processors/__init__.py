"""Processors of data engineers: one file, one pure function on a minimal record's fields.

Nothing is registered: `streams.processor.discover` finds the files, `homeport processors`
lists them and the standard suite runs over each. How to write one: docs/processors.md.
"""
