"""The last check before a record leaves its region.

It shares no code with what made the record: it reads the bytes, a hand-reviewed grammar
of what may leave (`grammar/<region>.toml`) and the digests of approved plans, no more.
"""

from residency.gate.check import Gate, GateHalt

__all__ = ["Gate", "GateHalt"]
