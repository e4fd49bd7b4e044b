-- Keys that gateways seal raw records under while their subjects' old ones are about to be
-- destroyed: what comes meanwhile opens afterwards. Each becomes its subject's key with that.

CREATE TABLE vault.next_keys (
  subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
  kek integer NOT NULL,
  wrapped bytea NOT NULL,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  request text NOT NULL -- the erasure that destroys the old one
);
GRANT SELECT ON vault.next_keys TO gateway, border, resend, replay;
GRANT SELECT, INSERT, DELETE ON vault.next_keys TO erase;
GRANT SELECT ON vault.awaited TO erase;
