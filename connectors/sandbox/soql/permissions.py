"""What a user's own session may do: the object ``UserPermissionAccess``, one row and no table.

Source: Object Reference, "UserPermissionAccess" (API version 41): whoever asks sees their own
permissions, one checkbox each, without a right to look into Setup.
"""

from typing import Any

from connectors.sandbox.access import User, Views
from connectors.sandbox.errors import ApiError, no_such_column, refuse
from connectors.sandbox.soql.tree import Item, Query

NAME = "UserPermissionAccess"
_PREFIX = "Permissions"
# Those that the org acts on, and those that our permission sets are made without.
_KNOWN = ("ApiEnabled", "BulkApiHardDelete", "ModifyAllData", "ModifyMetadata", "ViewAllData")
_FIELDS = {f"{_PREFIX}{name}".lower(): name for name in _KNOWN}


def is_asked(query: Query) -> bool:
    """Return whether *query* is about the session's own permissions."""
    return query.source.lower() == NAME.lower()


def answer(query: Query, views: Views, user: User) -> dict[str, Any]:
    """Return the one row: a checkbox for each permission that is selected.

    Raises:
        ApiError: 400, it names no such permission, or asks for more than a plain SELECT.

    """
    extra = (query.where, query.having, query.group_by, query.order_by, query.limit, query.offset)
    if not query.items or any(extra):
        text = f"the test org takes a plain SELECT of {NAME}, without conditions"
        raise refuse(400, "MALFORMED_QUERY", text)
    row: dict[str, Any] = {"attributes": {"type": NAME}}
    for item in query.items:
        path = item.path if isinstance(item, Item) and item.function is None else ""
        name = _FIELDS.get(path.lower())
        if name is None:
            raise ApiError(400, [no_such_column(path, NAME)])
        row[f"{_PREFIX}{name}"] = views.permits(user, name)
    return {"totalSize": 1, "done": True, "records": [row]}
