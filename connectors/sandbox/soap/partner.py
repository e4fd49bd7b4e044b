"""The partner and the enterprise API: what REST has no resource for, and who is calling.

``login()`` answers what orgs of today answer.

Source: SOAP API Developer Guide, "undelete()", "emptyRecycleBin()", "getUserInfo()",
"getServerTimestamp()", "logout()"; Salesforce help 005132110, "SOAP API login() retirement",
the text is what new orgs answer.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.sandbox.deploys.messages import stamp
from connectors.sandbox.ids import USER_PREFIX, record_id
from connectors.sandbox.logins.sessions import SECONDS_PER_MINUTE
from connectors.sandbox.markup import Node, texts
from connectors.sandbox.org import Org, Session
from connectors.sandbox.rows.bin import empty_recycle_bin, undelete
from connectors.sandbox.rows.writer import Outcome
from connectors.sandbox.soap.envelope import Fault, Request

Operation = Callable[[Org, Session, Request], Awaitable[Node]]


def no_login() -> Fault:
    """Return the refusal of a login by username and password, whoever it is for."""
    code = "INVALID_OPERATION"
    text = (
        "SOAP API login() is disabled by default in this org."
        " Contact the org administrator to enable SOAP API login()."
    )
    return Fault(code, text, "LoginFault")


async def post_undelete(org: Org, session: Session, request: Request) -> Node:
    """Bring up to 200 rows back from the recycle bin."""
    ids = texts(request.node, "ids")
    outcomes = await org.write(lambda store: undelete(org, store, session.user, ids))
    return [_result(one) for one in outcomes]


async def post_empty_recycle_bin(org: Org, session: Session, request: Request) -> Node:
    """Remove up to 200 rows from the recycle bin for good."""
    ids = texts(request.node, "ids")
    outcomes = await org.write(lambda store: empty_recycle_bin(org, store, session.user, ids))
    return [_result(one) for one in outcomes]


async def get_user_info(org: Org, session: Session, request: Request) -> Node:
    """Say who is calling."""
    del request
    user = session.user
    return {
        "accessibilityMode": False,
        "organizationId": org.id,
        "organizationMultiCurrency": False,
        "organizationName": "Homeport test org",
        "profileId": None,
        "sessionSecondsValid": org.idle_minutes(session.app) * SECONDS_PER_MINUTE,
        "userEmail": user.username,
        "userFullName": user.username,
        "userId": record_id(USER_PREFIX, user.sequence),
        "userLanguage": "en_US",
        "userLocale": "en_US",
        "userName": user.username,
        "userTimeZone": "GMT",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }


async def get_server_timestamp(org: Org, session: Session, request: Request) -> Node:
    """Say what time it is in the org."""
    del org, session, request
    return {"timestamp": stamp(int(time.time()))}


async def post_logout(org: Org, session: Session, request: Request) -> Node:
    """End the caller's session."""
    del request
    org.end(session)
    return None


OPERATIONS: Mapping[str, Operation] = {
    "undelete": post_undelete,
    "emptyRecycleBin": post_empty_recycle_bin,
    "getUserInfo": get_user_info,
    "getServerTimestamp": get_server_timestamp,
    "logout": post_logout,
}


def _result(one: Outcome) -> Mapping[str, Any]:
    """Return an UndeleteResult or EmptyRecycleBinResult."""
    errors = [
        {"fields": list(p.fields or ()), "message": p.message, "statusCode": p.code}
        for p in one.problems
    ]
    return {"errors": errors, "id": one.id, "success": not one.problems}
