"""Who is logged in: the identity URL and the UserInfo endpoint.

Source: Salesforce help, "Identity URLs" and "Query for User Information". Both refuse in plain
text, with 403 where the REST API has 401.
"""

import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from connectors.sandbox.access import User
from connectors.sandbox.accesslog import APP_KEY
from connectors.sandbox.call import Answer
from connectors.sandbox.ids import USER_PREFIX, record_id, sequence_of
from connectors.sandbox.org import ORG_PREFIX, Org, Session
from connectors.sandbox.protocol import LAST_VERSION
from connectors.sandbox.rows.forms import render_datetime
from connectors.sandbox.store import Store
from connectors.sandbox.users import user_of
from connectors.sandbox.web import ORG

_VERSION = re.compile(r"\d{2}(\.0)?", re.ASCII)
_SOAP = {"enterprise": "c", "metadata": "m", "partner": "u"}
_REST = {
    "rest": "",
    "sobjects": "sobjects/",
    "search": "search/",
    "query": "query/",
    "recent": "recent/",
    "tooling_rest": "tooling/",
}


class _IdentityError(Exception):
    """The identity service refuses."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.answer = Answer(status=status, text=word)


@dataclass(frozen=True, slots=True)
class _Person:
    """What the org knows of a user, as the User object shows it.

    Attributes:
        is_active: 1 or 0.
        changed_at: Seconds since 1970.

    """

    name: str
    first_name: str | None
    last_name: str
    email: str
    nickname: str
    timezone: str
    locale: str
    language: str
    is_active: int
    user_type: str
    changed_at: int


async def get_userinfo(request: web.Request) -> Answer:
    """Say who is calling."""
    org = request.app[ORG]
    try:
        user = _caller(request).user
        urls = _urls(org, user, request.query.get("version", ""))
    except _IdentityError as exc:
        return exc.answer
    known = await org.read(lambda store: _person(store, user))
    return Answer(
        {
            "sub": org.identity(user),
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "preferred_username": user.username,
            "nickname": known.nickname,
            "name": known.name,
            "email": known.email,
            "email_verified": True,
            "given_name": known.first_name,
            "family_name": known.last_name,
            "zoneinfo": known.timezone,
            "profile": urls["profile"],
            "urls": urls,
            "active": bool(known.is_active),
            "user_type": known.user_type.upper(),
            "language": known.language,
            "locale": known.locale,
            "utcOffset": 0,
            "updated_at": render_datetime(known.changed_at),
        }
    )


async def get_identity(request: web.Request) -> Answer:
    """Show the user that an identity URL names: oneself, or with the API anybody of the org."""
    org = request.app[ORG]
    try:
        session = _caller(request)
        user = await _named(request, org, session)
        urls = _urls(org, user, request.query.get("version", ""))
    except _IdentityError as exc:
        return exc.answer
    known = await org.read(lambda store: _person(store, user))
    nothing = ("addr_street", "addr_city", "addr_state", "addr_country", "addr_zip")
    return Answer(
        {
            "id": org.identity(user),
            "asserted_user": user == session.user,
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "username": user.username,
            "nick_name": known.nickname,
            "display_name": known.name,
            "email": known.email,
            "email_verified": True,
            "first_name": known.first_name,
            "last_name": known.last_name,
            "timezone": known.timezone,
            **dict.fromkeys((*nothing, "mobile_phone")),
            "mobile_phone_verified": False,
            "status": {"created_date": None, "body": None},
            "urls": urls,
            "active": bool(known.is_active),
            "user_type": known.user_type.upper(),
            "language": known.language,
            "locale": known.locale,
            "utcOffset": 0,
            "last_modified_date": render_datetime(known.changed_at),
            "is_app_installed": True,
        }
    )


def _caller(request: web.Request) -> Session:
    """Return the session of the request's token: in the header, or as ``oauth_token``."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "oauth"}:
        token = request.query.get("oauth_token", "")
    if not token.strip():
        raise _IdentityError(403, "Missing_OAuth_Token")
    session = request.app[ORG].session(token.strip())
    if session is None:
        raise _IdentityError(403, "Bad_OAuth_Token")
    request[APP_KEY] = session.app
    return session


async def _named(request: web.Request, org: Org, session: Session) -> User:
    """Return the user whom the URL names; ids may lack their suffixes."""
    named_org, named_user = request.match_info["org"], request.match_info["user"]
    if named_org not in {org.id, org.id[:15]}:
        is_org = named_org.startswith(ORG_PREFIX)
        raise _IdentityError(*((403, "Wrong_Org") if is_org else (404, "Bad_Id")))
    sequence = sequence_of(USER_PREFIX, named_user)
    if sequence == session.user.sequence:
        return session.user
    if not session.has_api:
        raise _IdentityError(404, "No_Access")
    user = None if sequence is None else await org.read(lambda store: user_of(store, sequence))
    if user is None:
        raise _IdentityError(404, "Bad_Id")
    return user


def _person(store: Store, user: User) -> _Person:
    sql = (
        "SELECT Name, FirstName, LastName, Email, CommunityNickname, TimeZoneSidKey, LocaleSidKey,"
        ' LanguageLocaleKey, IsActive, UserType, LastModifiedDate FROM "User" WHERE Id = ?'
    )
    return _Person(*store.select(sql, (user.sequence,))[0])


def _urls(org: Org, user: User, version: str) -> dict[str, Any]:
    """Return where the APIs are; without a version with ``{version}`` in its place."""
    if version == "latest":
        version = f"{LAST_VERSION}.0"
    if version and not _VERSION.fullmatch(version):
        raise _IdentityError(406, "Invalid_Version")
    shown = (version if "." in version else f"{version}.0") if version else "{version}"
    soap = {
        name: f"{org.url}/services/Soap/{letter}/{shown}/{org.id[:15]}"
        for name, letter in _SOAP.items()
    }
    rest = {name: f"{org.url}/services/data/v{shown}/{path}" for name, path in _REST.items()}
    tooling = f"{org.url}/services/Soap/T/{shown}/{org.id[:15]}"
    return {
        **soap,
        **rest,
        "tooling_soap": tooling,
        "profile": f"{org.url}/{record_id(USER_PREFIX, user.sequence)}",
        "custom_domain": org.url,
    }
