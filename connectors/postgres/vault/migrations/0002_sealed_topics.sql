-- Raw records that the gateway seals under their subjects' keys: it makes keys of new subjects and
-- reads those of old ones; who reads raw records opens them. Nobody of these sees a sealed event.

GRANT USAGE ON SCHEMA vault TO gateway;
GRANT SELECT, INSERT ON vault.subjects TO gateway;
GRANT SELECT ON vault.keks, vault.migrations TO gateway;
GRANT SELECT ON vault.subjects TO border, resend;

-- When a gateway last sealed for a subject, to the day: what it sealed may still lie in Kafka, not
-- yet kept, so a key without events is not without use.
CREATE TABLE vault.awaited (
  subject bytea PRIMARY KEY,
  at timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON vault.awaited TO gateway;
