"""The walker: a plan carried out on the Avro bytes of whole batches, for speed.

`strip` is the definition; this is the second interpreter of the same plan, held equal to
it byte for byte. What it cannot show to be plain (odd encodings, values that break a
format) it leaves to `strip`, so there is one place where a record is refused.
"""
