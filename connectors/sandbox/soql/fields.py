"""What the field list selects once its groups of fields are written out. Pure."""

from collections.abc import Sequence

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import NUMBER_TYPES, Field
from connectors.sandbox.soql.scope import Scope
from connectors.sandbox.soql.tree import FieldGroup, Item, Query

MAX_ROWS_OF_ALL = 200  # LIMIT of a query whose fields are not known before it runs; Salesforce's


def selected_items(query: Query, view: View, scope: Scope) -> Sequence[Item | Query]:
    """Return what *query* selects, ``FIELDS(...)`` as the fields that the user sees.

    Raises:
        ApiError: 400, such a group in a query that groups or has no small LIMIT.

    """
    items: list[Item | Query] = []
    for item in query.items:
        if not isinstance(item, FieldGroup):
            items.append(item)
            continue
        if query.group_by:
            text = "The SOQL FIELDS function is not supported with GROUP BY"
            raise scope.refuse(item.at, "MALFORMED_QUERY", text)
        is_unbounded = query.limit is None or query.limit > MAX_ROWS_OF_ALL
        if item.group != "STANDARD" and is_unbounded:
            text = f"The SOQL FIELDS function must have a LIMIT of at most {MAX_ROWS_OF_ALL}"
            raise scope.refuse(item.at, "MALFORMED_QUERY", text)
        items += [Item(f.name, item.at) for f in view.fields.values() if _is_in(item, f)]
    return items


def groupable(field: Field) -> bool:
    """Return whether GROUP BY takes the field."""
    return field.type not in NUMBER_TYPES - {"int"} and field.type != "datetime"


def _is_in(group: FieldGroup, field: Field) -> bool:
    return group.group == "ALL" or field.is_custom == (group.group == "CUSTOM")
