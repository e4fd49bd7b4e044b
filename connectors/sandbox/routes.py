"""Which handler answers which path.

`PARTS` answer alone and within another request, below ``/services/data/vXX.0``; `ROUTES` are all.
"""

from connectors.sandbox import resources as top
from connectors.sandbox.bulk import first
from connectors.sandbox.bulk import queries as bulk_queries
from connectors.sandbox.bulk import resources as bulk
from connectors.sandbox.composite.batch import post_batch
from connectors.sandbox.composite.graph import post_graph
from connectors.sandbox.composite.resource import get_composite, post_composite
from connectors.sandbox.composite.tree import post_tree
from connectors.sandbox.deploys import resource as deploys
from connectors.sandbox.dispatch import Kind, Route
from connectors.sandbox.logins import identity
from connectors.sandbox.logins import resource as logins
from connectors.sandbox.logins.authorize import authorize
from connectors.sandbox.page import resource as pages
from connectors.sandbox.page.door import post_enter
from connectors.sandbox.rows import collection, feeds, keyed
from connectors.sandbox.rows import resource as rows
from connectors.sandbox.soap import resource as soap
from connectors.sandbox.soql import resource as soql
from connectors.sandbox.web import api, open_to_all

DATA = r"/services/data/v{version:[1-9]\d*\.0}"
# clients add the org's id, as identity URLs do; some the name or the id of what they ask about
_SOAP = "{version}{below:(/[^/]+){0,2}}"
_DEPLOYMENTS = f"{DATA}/metadata/deployRequest"
_JOBS = f"{DATA}/jobs/ingest"
_QUERIES = f"{DATA}/jobs/query"
_SOBJECT = "/sobjects/{sobject}"
_COLLECTION = "/composite/sobjects"

PARTS = (
    Route("GET", "/limits", top.get_limits, Kind.LIMITS),
    Route("GET", "/limits/recordCount", top.get_record_count, Kind.LIMITS),
    Route("GET", "/query", soql.get_query, Kind.QUERY),
    Route("GET", "/queryAll", soql.get_query_all, Kind.QUERY),
    Route("GET", "/query/{locator}", soql.get_query_page, Kind.QUERY),
    Route("GET", "/queryAll/{locator}", soql.get_query_page, Kind.QUERY),
    Route("POST", _COLLECTION, collection.post_collection, Kind.COLLECTION),
    Route("PATCH", _COLLECTION, collection.patch_collection, Kind.COLLECTION),
    Route("DELETE", _COLLECTION, collection.delete_collection, Kind.COLLECTION),
    Route("GET", f"{_COLLECTION}/{{sobject}}", collection.get_collection, Kind.COLLECTION),
    Route("POST", f"{_COLLECTION}/{{sobject}}", collection.retrieve_collection, Kind.COLLECTION),
    Route(
        "PATCH",
        f"{_COLLECTION}/{{sobject}}/{{field}}",
        collection.upsert_collection,
        Kind.COLLECTION,
    ),
    Route("GET", "/sobjects", rows.get_sobjects, Kind.ROW),
    Route("GET", _SOBJECT, rows.get_sobject, Kind.ROW),
    Route("POST", _SOBJECT, rows.post_row, Kind.ROW),
    Route("GET", f"{_SOBJECT}/describe", rows.get_describe, Kind.ROW),
    Route("GET", f"{_SOBJECT}/deleted", feeds.get_deleted, Kind.ROW),
    Route("GET", f"{_SOBJECT}/updated", feeds.get_updated, Kind.ROW),
    Route("GET", f"{_SOBJECT}/{{id}}", rows.get_row, Kind.ROW),
    Route("POST", f"{_SOBJECT}/{{id}}", keyed.post_by_key, Kind.ROW),
    Route("PATCH", f"{_SOBJECT}/{{id}}", rows.patch_row, Kind.ROW),
    Route("DELETE", f"{_SOBJECT}/{{id}}", rows.delete_row, Kind.ROW),
    Route("GET", f"{_SOBJECT}/{{field}}/{{value}}", keyed.get_by_key, Kind.ROW),
    Route("PATCH", f"{_SOBJECT}/{{field}}/{{value}}", keyed.patch_by_key, Kind.ROW),
    Route("DELETE", f"{_SOBJECT}/{{field}}/{{value}}", keyed.delete_by_key, Kind.ROW),
)

ROUTES = (
    ("GET", "/services/data", open_to_all(top.get_versions)),
    ("GET", "/", pages.get_home),
    ("GET", "/calls", pages.get_calls),
    ("GET", "/objects/{sobject}", pages.get_object),
    ("POST", "/enter", post_enter),
    ("GET", "/services/oauth2/authorize", authorize),
    ("POST", "/services/oauth2/authorize", authorize),
    ("POST", "/services/oauth2/token", open_to_all(logins.post_token, has_faults=True)),
    ("GET", "/services/oauth2/revoke", open_to_all(logins.revoke)),
    ("POST", "/services/oauth2/revoke", open_to_all(logins.revoke)),
    ("POST", "/services/oauth2/introspect", open_to_all(logins.post_introspect)),
    ("*", "/services/async/{version}/{rest:.+}", open_to_all(first.refuse)),
    ("GET", "/.well-known/openid-configuration", open_to_all(logins.get_configuration)),
    ("POST", f"/services/Soap/{{api:[cu]}}/{_SOAP}", soap.post_partner),
    ("POST", f"/services/Soap/{{api:m}}/{_SOAP}", soap.post_metadata),
    ("GET", "/services/oauth2/userinfo", open_to_all(identity.get_userinfo)),
    ("POST", "/services/oauth2/userinfo", open_to_all(identity.get_userinfo)),
    ("GET", "/id/{org}/{user}", open_to_all(identity.get_identity)),
    ("GET", DATA, api(top.get_resources)),
    ("HEAD", DATA, api(top.get_resources)),
    ("GET", f"{DATA}/recent", api(top.get_recent)),
    ("HEAD", f"{DATA}/recent", api(top.get_recent)),
    ("GET", f"{DATA}/composite", api(get_composite)),
    ("HEAD", f"{DATA}/composite", api(get_composite)),
    ("POST", f"{DATA}/composite", api(post_composite)),
    ("POST", f"{DATA}/composite/batch", api(post_batch)),
    ("POST", f"{DATA}/composite/graph", api(post_graph)),
    ("POST", f"{DATA}/composite/tree/{{sobject}}", api(post_tree)),
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
    ("POST", _DEPLOYMENTS, api(deploys.post_deployment)),
    ("GET", f"{_DEPLOYMENTS}/{{id}}", api(deploys.get_deployment)),
    ("PATCH", f"{_DEPLOYMENTS}/{{id}}", api(deploys.patch_deployment)),
    *((r.method, DATA + r.path, api(r.handler)) for r in PARTS),
    *(("HEAD", DATA + r.path, api(r.handler)) for r in PARTS if r.method == "GET"),
)
