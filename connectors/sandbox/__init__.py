"""A local Salesforce org: the REST API over HTTPS and SQLite, faithful down to its errors.

It is a destination, so it lies outside every region: what it stores may be read by people,
and like the real org it echoes values in error texts. It never logs them.

Read in this order: `metadata` (what is deployed), `access` (what a user sees of it), `values`
(one field's rules), `collections` (the write path), `soql` and `query` (the read path),
`store` (SQLite), `oauth` (logins), `server` (HTTP).
"""
