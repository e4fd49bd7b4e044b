"""How a query would run: ``query?explain=...``.

Source: REST API, "Get Feedback on Query Performance". What a plan costs is relative to the
number of rows up to which Salesforce takes a filter for selective: a tenth of the first million.
"""

import re
from typing import Any

from connectors.sandbox.soql.compiled import Compiled
from connectors.sandbox.soql.engine import count
from connectors.sandbox.store import Store

_USED = re.compile(r"SEARCH t USING (?:COVERING )?(?:INDEX|INTEGER PRIMARY KEY)[^(]*\(([^)]*)\)")
_COLUMN = re.compile(r"(\w+)[=<>]")
SELECTIVE_SHARE, SELECTIVE_ROWS = 0.1, 1_000_000


def plans(store: Store, compiled: Compiled, everything: Compiled) -> dict[str, Any]:
    """Return the answer that explains how *compiled* is carried out.

    Args:
        store: Where the rows are.
        compiled: The query.
        everything: A query that counts all rows of its object that the user may see.

    """
    total = count(store, everything)
    steps = store.select(f"EXPLAIN QUERY PLAN {compiled.select('1')}", compiled.values)
    used = next(filter(None, (_USED.match(str(step[3])) for step in steps)), None)
    names = _COLUMN.findall(used[1]) if used is not None else []
    fields = ["Id" if name == "rowid" else name for name in names]
    rows = count(store, compiled)
    threshold = max(1.0, min(total, SELECTIVE_ROWS) * SELECTIVE_SHARE)
    plan = {
        "cardinality": rows,
        "fields": fields,
        "leadingOperationType": "Index" if used is not None else "TableScan",
        "notes": [],
        "relativeCost": round((rows if used is not None else total) / threshold, 3),
        "sobjectCardinality": total,
        "sobjectType": compiled.view.name,
    }
    return {"plans": [plan], "sourceQuery": compiled.query.text}
