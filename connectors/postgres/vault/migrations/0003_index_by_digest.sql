-- The index is asked by digest, which differs from kind to kind anyway, and emptied by subject. What
-- is known to be new is copied in without being asked for, so two writers that meet a customer at
-- once may both say a thing: it is said twice, found once, and goes with its subject.
ALTER TABLE vault.blind_index DROP CONSTRAINT blind_index_pkey;
CREATE INDEX blind_index_digest ON vault.blind_index (digest);
