"""Bulk API 2.0: jobs that take CSV and carry it out in the background, and jobs that query.

Read in this order: `jobs` (a job and its states), `kept` (its row), `handlers` (what both kinds
answer). Ingest: `table` (CSV), `columns` (a header against an object), `chunk` (200 rows in one
transaction), `runner` (all of a job), `results`, `resources` (HTTP). Queries: `extract` (rows into
a file), `cells`, `pages`, `reading` (in the background), `queries` (HTTP).

Source: Bulk API 2.0 guide, "Bulk API 2.0 Ingest" and "Bulk API 2.0 Query".
"""
