"""The resources that answer alone and within a composite, below ``/services/data/vXX.0``."""

from connectors.sandbox import rows
from connectors.sandbox.deletes import delete_collection
from connectors.sandbox.dispatch import Kind, Route

_SOBJECT = "/sobjects/{sobject}"

PARTS = (
    Route("GET", "/query", rows.get_query, Kind.QUERY),
    Route("GET", "/queryAll", rows.get_query_all, Kind.QUERY),
    Route("GET", "/query/{locator}", rows.get_query_page, Kind.QUERY),
    Route("GET", "/queryAll/{locator}", rows.get_query_page, Kind.QUERY),
    Route("DELETE", "/composite/sobjects", delete_collection, Kind.COLLECTION),
    Route("PATCH", "/composite/sobjects/{sobject}/{field}", rows.patch_collection, Kind.COLLECTION),
    Route("GET", "/sobjects", rows.get_sobjects, Kind.ROW),
    Route("GET", _SOBJECT, rows.get_sobject, Kind.ROW),
    Route("POST", _SOBJECT, rows.post_row, Kind.ROW),
    Route("GET", f"{_SOBJECT}/describe", rows.get_describe, Kind.ROW),
    Route("GET", f"{_SOBJECT}/{{id}}", rows.get_row, Kind.ROW),
    Route("PATCH", f"{_SOBJECT}/{{id}}", rows.patch_row, Kind.ROW),
    Route("DELETE", f"{_SOBJECT}/{{id}}", rows.delete_row, Kind.ROW),
    Route("GET", f"{_SOBJECT}/{{field}}/{{value}}", rows.get_by_key, Kind.ROW),
    Route("PATCH", f"{_SOBJECT}/{{field}}/{{value}}", rows.patch_by_key, Kind.ROW),
    Route("DELETE", f"{_SOBJECT}/{{field}}/{{value}}", rows.delete_by_key, Kind.ROW),
)
