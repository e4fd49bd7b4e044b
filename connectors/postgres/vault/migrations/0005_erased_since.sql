-- When a record of an erased subject was named: once nothing of its time can be kept anywhere, the
-- name says nothing any more, and goes. Those that are there count from now.

ALTER TABLE vault.erased ADD COLUMN named_at timestamptz NOT NULL DEFAULT now();
