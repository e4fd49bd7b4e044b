"""The walker's instruction sets: numbers that the program's author and the kernels share."""

from typing import Final

# --- walking a writer's schema over an event's bytes --------------------------------------
# An instruction is WIDTH integers: opcode, four operands (a, b, c, d), tape act.
# Of a leaf, c is the slot that its value goes to, from 1; 0: none.
WIDTH: Final = 6

# Leaves.
BOOLEAN: Final = 0
SIZED: Final = 1  # a: bytes
FIXED_DECIMAL: Final = 2  # a: bytes; b: as DECIMAL
# From here on they start with an integer, which is read before the instruction is looked at.
FIRST_WITH_INTEGER: Final = 3
STRING: Final = 3
BYTES: Final = 4
LONG: Final = 5
INT: Final = 6
ENUM: Final = 7  # a: symbols
DECIMAL: Final = 8  # b: its absolute value is below this; 0: any
UUID: Final = 9
LAST_LEAF: Final = 9
# What holds them.
UNION: Final = 10  # a: branches; b: place in the jump table
KEY: Final = 11  # of a map's entry. a: body; b, c: place and number of the chosen keys
BLOCK: Final = 12  # a: after the last item; b: its NEXT
LAST_WITH_INTEGER: Final = 12

JUMP: Final = 14  # a: target
BEGIN: Final = 15  # an array or a map
NEXT: Final = 16  # a: body; b, c: place and number of the chosen items; a BLOCK follows
STORE: Final = 17  # a: slot; b: how; c: the value is a decimal to reckon with
COUNT: Final = 18  # a: slot, to which the items of the array that just ended are added
CLEAR: Final = 19  # a: slot
END: Final = 20

# How STORE takes a value.
SET: Final = 0
SUM: Final = 1
LEAST: Final = 2
MOST: Final = 3

# What a node's bytes become on the tape.
SKIP: Final = 0
COPY: Final = 1
EDIT: Final = 2  # and above: EDIT + number of the edit

# What came of an event.
PLAIN: Final = 0
MALFORMED: Final = 1
ODD: Final = 2  # valid or not: the reference decides

ABSENT: Final = -1  # second half of a slot: nothing was there

# --- writing a minimal record from slots and fills -----------------------------------------
# An instruction is EMIT_WIDTH integers:
# opcode, source, how null is written, place among the clearable or -1, low, high.
EMIT_WIDTH: Final = 6

LITERAL: Final = 0  # source: literal
TEXT: Final = 1  # source: slot of a string
NUMBER: Final = 2  # source: slot of an int or long; low, high: its range
NUMBER_OR_ZERO: Final = 3  # the same; absent is 0
TRUTH: Final = 4  # source: slot of a boolean
SYMBOL: Final = 5  # source: slot of an enum; low: literal of the first symbol
AMOUNT: Final = 6  # source: slot of a decimal; low, high: range of its unscaled value
TOTAL: Final = 7  # source: slot of decimals' sum, least or most; low, high likewise
TOTAL_OR_ZERO: Final = 8
FILL: Final = 9  # source: fill
VERSION: Final = 10
CLEARED: Final = 11  # low: literal of the first clearable name; high: how many
EMPTY: Final = 12  # null, and named among the cleared
