-- The vault: sealed events, the keys of their subjects, and what must outlive both.

CREATE TABLE vault.subjects (
  subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
  kek integer NOT NULL,
  wrapped bytea NOT NULL,
  made_at timestamptz NOT NULL
);
CREATE INDEX subjects_kek ON vault.subjects (kek, subject);

-- Versions of the key-encryption key: who wraps must use the newest, or retiring an old one
-- would lose keys. The keys themselves are nowhere in the database.
CREATE TABLE vault.keks (
  version integer PRIMARY KEY,
  since timestamptz NOT NULL
);

-- Idempotent by `progress`, which is why no key is unique here.
CREATE TABLE vault.events (
  event text NOT NULL,
  kept_at timestamptz NOT NULL,
  topic text NOT NULL,
  topic_id text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  subject bytea NOT NULL,
  schema_id integer NOT NULL,
  sealed bytea NOT NULL
) PARTITION BY LIST (event);
ALTER TABLE vault.events ALTER COLUMN sealed SET STORAGE EXTERNAL; -- it does not compress
CREATE INDEX events_subject ON vault.events (subject);
CREATE INDEX events_record ON vault.events (topic_id, partition, "offset");

CREATE TABLE vault.blind_index (
  kind smallint NOT NULL,
  digest bytea NOT NULL,
  subject bytea NOT NULL,
  PRIMARY KEY (kind, digest, subject)
);
CREATE INDEX blind_index_subject ON vault.blind_index (subject);

CREATE TABLE vault.progress (
  topic_id text NOT NULL,
  topic text NOT NULL,
  partition integer NOT NULL,
  next bigint NOT NULL,
  PRIMARY KEY (topic_id, partition)
);

CREATE TABLE vault.erasures (
  request text PRIMARY KEY CHECK (request ~ '^[0-9a-f]{32}$'),
  subject bytea NOT NULL,
  token text NOT NULL,
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL,
  ticket text,
  step text NOT NULL,
  state jsonb NOT NULL DEFAULT '{}',
  leaf bigint,
  ended_at timestamptz
);
CREATE INDEX erasures_subject ON vault.erasures (subject);

CREATE TABLE vault.suppressions (
  subject bytea PRIMARY KEY,
  token_digest bytea NOT NULL,
  since timestamptz NOT NULL,
  request text NOT NULL,
  lifted_at timestamptz
);
CREATE INDEX suppressions_token ON vault.suppressions (token_digest);

CREATE TABLE vault.erased (
  topic_id text NOT NULL,
  partition integer NOT NULL,
  "offset" bigint NOT NULL,
  request text NOT NULL,
  PRIMARY KEY (topic_id, partition, "offset")
);

-- Who destroys keys waits for the writers and holds them back: a batch that is being sealed under
-- a key that goes would be lost. Writers share the lock for each of their transactions.
CREATE FUNCTION vault.share_keys() RETURNS void LANGUAGE sql AS
  'SELECT pg_advisory_xact_lock_shared(4711, 1)';
CREATE FUNCTION vault.hold_keys() RETURNS void LANGUAGE sql AS
  'SELECT pg_advisory_xact_lock(4711, 1)';
CREATE FUNCTION vault.before_keys_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM vault.hold_keys();
  RETURN NULL;
END $$;
CREATE TRIGGER subjects_destroyed BEFORE DELETE ON vault.subjects
  FOR EACH STATEMENT EXECUTE FUNCTION vault.before_keys_go();

GRANT USAGE ON SCHEMA vault TO lookup, border, enrich, resend, replay, erase;
GRANT SELECT ON vault.subjects, vault.events, vault.blind_index, vault.suppressions,
  vault.erasures, vault.erased TO lookup;
GRANT SELECT, UPDATE (lifted_at) ON vault.suppressions TO border;
GRANT SELECT ON vault.suppressions TO enrich, resend;
GRANT SELECT ON vault.subjects, vault.events, vault.erased, vault.erasures TO replay;
GRANT SELECT, INSERT, DELETE ON vault.subjects, vault.events, vault.blind_index TO erase;
GRANT SELECT ON vault.progress TO erase;
GRANT SELECT, INSERT, UPDATE, DELETE ON vault.erasures, vault.suppressions, vault.erased TO erase;

-- Makes the partition of an event type for the month of a time, where it is missing.
CREATE FUNCTION vault.make_partition(of_event text, at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  readable text := lower(regexp_replace(of_event, '[^A-Za-z0-9]', '_', 'g'));
  -- a name has 63 bytes at most; the digest keeps apart what shortening makes equal
  type_table text := 'events_' || left(readable, 40) || '_' || left(md5(of_event), 6);
  first timestamptz := date_trunc('month', at, 'UTC');
  following timestamptz := date_trunc('month', first + interval '32 days', 'UTC');
  month_table text := type_table || to_char(first AT TIME ZONE 'UTC', '"_"YYYYMM');
  may_maintain boolean := current_setting('server_version_num')::integer >= 170000; -- VACUUM
BEGIN
  IF to_regclass(format('vault.%I', month_table)) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(4711, 2); -- two writers meet a month at once
  IF to_regclass(format('vault.%I', type_table)) IS NULL THEN
    EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.events FOR VALUES IN (%L)'
      ' PARTITION BY RANGE (kept_at)', type_table, of_event);
    IF may_maintain THEN
      EXECUTE format('GRANT MAINTAIN ON vault.%I TO erase', type_table);
    END IF;
  END IF;
  IF to_regclass(format('vault.%I', month_table)) IS NULL THEN
    EXECUTE format('CREATE TABLE vault.%I PARTITION OF vault.%I FOR VALUES FROM (%L) TO (%L)',
      month_table, type_table, first, following);
    IF may_maintain THEN
      EXECUTE format('GRANT MAINTAIN ON vault.%I TO erase', month_table);
    END IF;
  END IF;
END $$;

-- Drops the months of an event type that end before a time; returns how many rows went.
CREATE FUNCTION vault.drop_months(of_event text, before timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  month_table regclass;
  found bigint;
  gone bigint := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(4711, 2);
  FOR month_table IN
    SELECT t.relid FROM pg_partition_tree('vault.events') t
    JOIN pg_class c ON c.oid = t.relid JOIN pg_class p ON p.oid = t.parentrelid
    WHERE t.isleaf AND pg_get_expr(p.relpartbound, p.oid) = format('FOR VALUES IN (%L)', of_event)
      AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= before
  LOOP
    EXECUTE format('SELECT count(*) FROM %s', month_table) INTO found;
    EXECUTE format('DROP TABLE %s', month_table);
    gone := gone + found;
  END LOOP;
  RETURN gone;
END $$;

DO $$
BEGIN
  IF current_setting('server_version_num')::integer >= 170000 THEN
    GRANT MAINTAIN ON vault.subjects, vault.blind_index, vault.events TO erase;
  END IF;
END $$;
