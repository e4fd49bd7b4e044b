"""The region's transparency log: what it says it sent, fixed so that nobody can alter it.

The formats are C2SP's (tlog-tiles, tlog-checkpoint, signed-note, tlog-proof) and the hashing
is RFC 6962, so anybody can check a ledger with other people's code; the tests do, with Go's.

Pure: `tree` (hashes and proofs), `tiles` (names and contents of files), `note` (signatures),
`leaves` (what an entry says), `proof`, `find`. With I/O: `disk` alone calls the operating system;
`reader` reads a ledger, `files.Ledger` appends to one, `verify` checks one by a `walk`,
`consistency` holds it to a checkpoint somebody kept, `follow` to each one that comes.
"""
