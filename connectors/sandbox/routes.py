"""Which handler answers which path.

`PARTS` answer alone and within a composite, below ``/services/data/vXX.0``; `ROUTES` are all.
"""

from connectors.sandbox import resources as top
from connectors.sandbox.bulk import queries as bulk_queries
from connectors.sandbox.bulk import resources as bulk
from connectors.sandbox.composite.resource import post_composite
from connectors.sandbox.dispatch import Kind, Route
from connectors.sandbox.logins import resource as logins
from connectors.sandbox.rows import resource as rows
from connectors.sandbox.rows.deletes import delete_collection
from connectors.sandbox.soap import post_login
from connectors.sandbox.soql import resource as soql
from connectors.sandbox.web import api, open_to_all

_DATA = r"/services/data/v{version:\d+\.\d}"
_JOBS = f"{_DATA}/jobs/ingest"
_QUERIES = f"{_DATA}/jobs/query"
_SOBJECT = "/sobjects/{sobject}"

PARTS = (
    Route("GET", "/query", soql.get_query, Kind.QUERY),
    Route("GET", "/queryAll", soql.get_query_all, Kind.QUERY),
    Route("GET", "/query/{locator}", soql.get_query_page, Kind.QUERY),
    Route("GET", "/queryAll/{locator}", soql.get_query_page, Kind.QUERY),
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

ROUTES = (
    ("GET", "/services/data", open_to_all(top.get_versions)),
    ("POST", "/services/oauth2/token", open_to_all(logins.post_token, has_faults=True)),
    ("POST", "/services/oauth2/revoke", open_to_all(logins.post_revoke)),
    ("POST", "/services/Soap/{api:[cu]}/{version}", post_login),
    ("GET", "/services/oauth2/userinfo", open_to_all(logins.get_userinfo)),
    ("GET", "/id/{org}/{user}", open_to_all(logins.get_identity)),
    ("GET", _DATA, api(top.get_resources)),
    ("GET", f"{_DATA}/limits", api(top.get_limits)),
    ("POST", f"{_DATA}/composite", api(post_composite)),
    ("GET", _JOBS, api(bulk.list_all)),
    ("POST", _JOBS, api(bulk.post_job)),
    ("GET", f"{_JOBS}/{{id}}", api(bulk.get_info)),
    ("PATCH", f"{_JOBS}/{{id}}", api(bulk.patch_job)),
    ("DELETE", f"{_JOBS}/{{id}}", api(bulk.delete_job)),
    ("PUT", f"{_JOBS}/{{id}}/batches", api(bulk.put_data)),
    ("GET", f"{_JOBS}/{{id}}/{{results}}", api(bulk.get_results)),
    ("GET", _QUERIES, api(bulk_queries.list_all)),
    ("POST", _QUERIES, api(bulk_queries.post_job)),
    ("GET", f"{_QUERIES}/{{id}}", api(bulk_queries.get_info)),
    ("PATCH", f"{_QUERIES}/{{id}}", api(bulk_queries.patch_job)),
    ("DELETE", f"{_QUERIES}/{{id}}", api(bulk_queries.delete_job)),
    ("GET", f"{_QUERIES}/{{id}}/results", api(bulk_queries.get_results)),
    ("GET", f"{_QUERIES}/{{id}}/{{pages:(?i:resultpages)}}", api(bulk_queries.get_result_pages)),
    *((r.method, _DATA + r.path, api(r.handler)) for r in PARTS),
)
