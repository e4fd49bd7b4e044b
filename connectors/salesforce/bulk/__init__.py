"""Bulk API 2.0 ingest: many rows of one object as CSV, carried out by the org in the background.

Read in this order: `options`, `table` (rows to CSV), `results` (CSV to results), `ingest` (the
HTTP calls), `jobs` (what is kept of a job), `writer` (all of it).
"""
