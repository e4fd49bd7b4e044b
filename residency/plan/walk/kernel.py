"""Walk a batch of events along a program: check every byte, note what the plan asks for.

One loop over instructions, compiled once for all plans. Everything is bounded by the
bytes of the event: an item takes at least one (the program's author refuses others).

The loop is long because handing an array to another compiled function costs some 12 ns,
ten times the work it would do: what runs per value stands here, what is rare is called.
"""

from typing import Any

import numpy as np

from residency.plan.walk import ops
from residency.plan.walk.accelerator import compiled
from residency.plan.walk.bits import BAD, is_utf8, is_uuid, read_long, read_unscaled
from residency.plan.walk.rare import add, choose_key, is_within

Ints = Any  # an int64 array
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_LONG_MIN = -(2**63)
(
    STRING, BYTES, LONG, UNION, INT, ENUM, DECIMAL, UUID, KEY, BLOCK, BOOLEAN, SIZED,
    FIXED_DECIMAL, JUMP, BEGIN, NEXT, STORE, COUNT, CLEAR,
) = (
    ops.STRING, ops.BYTES, ops.LONG, ops.UNION, ops.INT, ops.ENUM, ops.DECIMAL, ops.UUID, ops.KEY,
    ops.BLOCK, ops.BOOLEAN, ops.SIZED, ops.FIXED_DECIMAL, ops.JUMP, ops.BEGIN, ops.NEXT,
    ops.STORE, ops.COUNT, ops.CLEAR,
)  # fmt: skip
FIRST_WITH_INTEGER, LAST_WITH_INTEGER = ops.FIRST_WITH_INTEGER, ops.LAST_WITH_INTEGER
LAST_LEAF = ops.LAST_LEAF
WIDTH, SKIP, COPY, EDIT = ops.WIDTH, ops.SKIP, ops.COPY, ops.EDIT
SET, ABSENT = ops.SET, ops.ABSENT
PLAIN, MALFORMED, ODD = ops.PLAIN, ops.MALFORMED, ops.ODD
FEW = 8  # bytes of a number that 64 bits hold whatever it is


@compiled
def walk(
    code: Ints,
    table: Ints,
    keys: Any,
    key_ends: Ints,
    depth: int,
    data: Any,
    starts: Ints,
    ends: Ints,
    slots: Ints,
    tape: Ints,
    tape_ends: Ints,
    status: Any,
) -> int:
    """Walk every event; return how many were walked before the tape was full.

    Args:
        code: The program.
        table: Jump targets of unions, chosen items of arrays and maps.
        keys: Chosen map keys, joined; *key_ends* says where each ends, the first entry is 0.
        depth: How deep arrays and maps nest.
        data: The events' Avro bytes, joined; event *n* lies from ``starts[n]`` to ``ends[n]``.
        slots: Out, (slots, 2, events), all `ABSENT` before. A number is (value, 0); text,
            bytes and decimals are (start, end) of their content.
        tape: Out, (rows, 3): (-1, from, to) for kept bytes, (edit, from, to) for edited ones.
        tape_ends: Out: where each event's rows end.
        status: Out: a verdict for each event.

    """
    left = np.zeros(depth, np.int64)
    block = np.zeros(depth, np.int64)
    index = np.zeros(depth, np.int64)
    used = 0
    for event in range(len(starts)):
        at, end = starts[event], ends[event]
        pc, top, run, ended = 0, -1, -1, 0
        first, second, verdict, used_before = 0, 0, PLAIN, used
        while True:
            base = pc * WIDTH
            op = code[base]
            begin = at
            pc += 1
            if FIRST_WITH_INTEGER <= op <= LAST_WITH_INTEGER:
                # --- the integer it starts with, as in bits.read_long ---
                if at >= end:
                    verdict = MALFORMED
                    break
                byte = data[at] + 0
                at += 1
                sign, number = byte & 1, (byte & 0x7F) >> 1
                if byte > 0x7F:
                    number, at = read_long(data, begin, end)
                    if at == BAD:
                        verdict = MALFORMED
                        break
                else:
                    number ^= -sign
                # --- by frequency ---
                if op == STRING:
                    first, second = at, at + number
                    if number < 0 or number > end - at:
                        verdict = MALFORMED
                        break
                    while at < second and data[at] < 0x80:
                        at += 1
                    if at < second and not is_utf8(data, at, second):
                        verdict = MALFORMED
                        break
                    at = second
                elif op == LONG:
                    first, second = number, 0
                elif op == UNION:
                    if number < 0 or number >= code[base + 1]:
                        verdict = MALFORMED
                        break
                    pc = table[code[base + 2] + number]
                elif op == INT:
                    first, second = number, 0
                    if number < _INT_MIN or number > _INT_MAX:
                        verdict = MALFORMED
                        break
                elif op == ENUM:
                    first, second = number, 0
                    if number < 0 or number >= code[base + 1]:
                        verdict = MALFORMED
                        break
                elif op == DECIMAL:
                    first, second = at, at + number
                    if number <= 0 or number > end - at:
                        verdict = MALFORMED
                        break
                    if number <= FEW:
                        value = data[at] + 0
                        value -= (value & 0x80) << 1
                        for place in range(at + 1, second):
                            value = (value << 8) | data[place]
                        limit = code[base + 2]
                        if limit and not -limit < value < limit:
                            verdict = MALFORMED
                    else:
                        verdict = is_within(data, at, second, code[base + 2])
                    if verdict != PLAIN:
                        break
                    at = second
                elif op == KEY:
                    first, second = at, at + number
                    if number < 0 or number > end - at or not is_utf8(data, at, second):
                        verdict = MALFORMED
                        break
                    pc, at = code[base + 1], second
                    if code[base + 3]:
                        pc = choose_key(
                            table, code[base + 2], code[base + 3], keys, key_ends,
                            data, first, second, pc,
                        )  # fmt: skip
                elif op == BLOCK:
                    block[top] = -1
                    if number < 0:
                        if number == _LONG_MIN:
                            verdict = MALFORMED
                            break
                        number = -number
                        size, at = read_long(data, at, end)
                        if at == BAD or size < 0 or size > end - at:
                            verdict = MALFORMED
                            break
                        block[top] = at + size
                    # Kept bytes must be in the form that a writer gives them: one block.
                    if code[base + 5] == COPY and (
                        block[top] >= 0 or (number > 0 and index[top] > 0)
                    ):
                        verdict = ODD
                        break
                    left[top] = number
                    pc = code[base + 2]
                    if number == 0:
                        ended = index[top]
                        top -= 1
                        pc = code[base + 1]
                else:  # BYTES or UUID
                    first, second = at, at + number
                    if (
                        number < 0
                        or number > end - at
                        or (op == UUID and not is_uuid(data, at, second))
                    ):
                        verdict = MALFORMED
                        break
                    at = second
            elif op == NEXT:
                if left[top] == 0:
                    if block[top] >= 0 and block[top] != at:
                        verdict = MALFORMED
                        break
                    continue  # with the BLOCK that follows
                pc = code[base + 1]
                for row in range(code[base + 3]):
                    if table[code[base + 2] + 2 * row] == index[top]:
                        pc = table[code[base + 2] + 2 * row + 1]
                left[top] -= 1
                index[top] += 1
                continue
            elif op == JUMP:
                pc = code[base + 1]
                continue
            elif op == BEGIN:
                top += 1
                left[top], block[top], index[top] = 0, -1, 0
                continue
            elif op == STORE:
                slot, how, value = code[base + 1], code[base + 2], first
                if code[base + 3]:  # a decimal that was judged fits 64 bits
                    value, _ = read_unscaled(data, first, second)
                if how != SET and slots[slot, 1, event] != ABSENT:
                    value, is_fit = add(slots[slot, 0, event], value, how)
                    if not is_fit:
                        verdict = ODD
                        break
                slots[slot, 0, event], slots[slot, 1, event] = value, second
                continue
            elif op == BOOLEAN:
                if at >= end or data[at] > 1:
                    verdict = MALFORMED
                    break
                first, second = data[at] + 0, 0
                at += 1
            elif op == SIZED or op == FIXED_DECIMAL:
                first, second = at, at + code[base + 1]
                if second > end:
                    verdict = MALFORMED
                    break
                if op == FIXED_DECIMAL:
                    verdict = is_within(data, first, second, code[base + 2])
                    if verdict != PLAIN:
                        break
                at = second
            elif op == COUNT:
                slot, value = code[base + 1], ended
                if slots[slot, 1, event] != ABSENT:  # of several arrays, below another one
                    value += slots[slot, 0, event]
                slots[slot, 0, event], slots[slot, 1, event] = value, 0
                continue
            elif op == CLEAR:
                slots[code[base + 1], 1, event] = ABSENT
                continue
            else:  # END
                if at != end:
                    verdict = MALFORMED
                break
            # --- a value was read: keep it, and its bytes ---
            if op <= LAST_LEAF and code[base + 3]:
                slots[code[base + 3] - 1, 0, event] = first
                slots[code[base + 3] - 1, 1, event] = second
            act = code[base + 5]
            if act == COPY:
                if run < 0:
                    run = begin
                continue
            if act == SKIP and run < 0:
                continue
            if used + 2 > len(tape):
                return event
            if run >= 0:
                tape[used, 0], tape[used, 1], tape[used, 2] = -1, run, begin
                used += 1
                run = -1
            if act >= EDIT:
                tape[used, 0], tape[used, 1], tape[used, 2] = act - EDIT, first, second
                used += 1
        if verdict != PLAIN:
            used = used_before
        elif run >= 0:
            if used >= len(tape):
                return event
            tape[used, 0], tape[used, 1], tape[used, 2] = -1, run, at
            used += 1
        tape_ends[event] = used
        status[event] = verdict
    return len(starts)
