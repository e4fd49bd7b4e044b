"""What a request for a new job asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.bulk.handlers import invalid_value
from connectors.sandbox.bulk.jobs import QUERIES, Operation, Order
from connectors.sandbox.bulk.table import DELIMITERS, ENDINGS, Format
from connectors.sandbox.call import Call, json_object
from connectors.sandbox.errors import ApiError, refuse

HARD_DELETE = "BulkApiHardDelete"  # the user permission
_OPERATIONS = [operation for operation in Operation if operation not in QUERIES]


def parse_order(call: Call, document: object) -> Order:
    """Return what a job's JSON asks for.

    Raises:
        ApiError: 400 INVALIDJOB or 403 FEATURENOTENABLED, the org does not do that.

    """
    document = json_object(document)
    view = call.org.views.find(call.user, str(document.get("object") or ""))
    if view is None:
        text = f"Unable to find object: {document.get('object') or ''}"
        raise _invalid(text)
    operation = Operation(one_of(document, "operation", _OPERATIONS))
    if operation is Operation.HARD_DELETE and not call.org.views.permits(call.user, HARD_DELETE):
        text = (
            "FeatureNotEnabled : hardDelete operation requires special user profile permission,"
            " please contact your system administrator"
        )
        raise refuse(400, "FEATURENOTENABLED", text)
    key = _key(document, view) if operation is Operation.UPSERT else None
    layout = parse_layout(document)
    return Order(call.user.sequence, view.name, operation, key, layout, call.version)


def _key(document: Mapping[str, Any], view: View) -> str:
    name = document.get("externalIdFieldName")
    if name is None:
        text = (
            f"External ID was blank for {view.name}. An External ID must be specified for upsert."
        )
        raise _invalid(text)
    field = view.field(str(name))
    if field is None or not (field.is_external_id or field.name == "Id"):
        text = f"Field name provided, {name} does not match an External ID for {view.name}"
        raise _invalid(text)
    return field.name


def parse_layout(document: Mapping[str, Any]) -> Format:
    """Return how the CSV of a job is written.

    Raises:
        ApiError: 400, no such delimiter or line ending, or no CSV.

    """
    one_of(document, "contentType", ["CSV"], "CSV")
    return Format(
        delimiter=one_of(document, "columnDelimiter", [*DELIMITERS], "COMMA"),
        ending=one_of(document, "lineEnding", [*ENDINGS], "LF"),
    )


def one_of(
    document: Mapping[str, Any], name: str, allowed: Sequence[str], default: str = ""
) -> str:
    """Return the member *name*, which must be one of the *allowed* values.

    Raises:
        ApiError: 400, it is another.

    """
    value = document.get(name, default)
    if value not in allowed:
        raise invalid_value(value, name)
    return str(value)


def _invalid(text: str) -> ApiError:
    return refuse(400, "INVALIDJOB", f"InvalidJob : {text}")
