"""Bulk API 2.0 ingest: jobs that take CSV and carry it out in the background.

Read in this order: `jobs` (a job and its states), `table` (CSV), `columns` (a header against an
object), `chunk` (200 rows in one transaction), `runner` (all of a job), `results`, `resources`
(HTTP).

Source: Bulk API 2.0 guide, "Bulk API 2.0 Ingest".
"""
