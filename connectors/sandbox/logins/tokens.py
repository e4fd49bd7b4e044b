"""The texts that open the org: how they are made, what is stored of them, what a login answers."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from connectors.sandbox.access import User
from connectors.sandbox.ids import USER_PREFIX, record_id


@dataclass(frozen=True, slots=True)
class Issuer:
    """The org as logins know it.

    Attributes:
        org: Its id, 18 characters.
        url: Its My Domain URL.
        secret: What signs answers.

    """

    org: str
    url: str
    secret: str

    def identity(self, user: User) -> str:
        """Return the user's identity URL."""
        return f"{self.url}/id/{self.org}/{record_id(USER_PREFIX, user.sequence)}"


def new_token(org_id: str) -> str:
    """Return a session id as the real org makes them: the org's id, ``!``, 96 characters."""
    return f"{org_id[:15]}!{secrets.token_urlsafe(72).replace('-', '.')}"


def new_refresh_token() -> str:
    """Return a refresh token in the real one's form, 87 characters."""
    return f"5Aep{secrets.token_urlsafe(62)}"


def new_code() -> str:
    """Return an authorisation code in the real one's form."""
    return f"aPrx{secrets.token_urlsafe(60)}"


def digest(token: str) -> bytes:
    """Return what is stored of a token: 32 bytes that open nothing."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def token_answer(
    token: str, user: User, scope: str, issuer: Issuer, now: datetime
) -> dict[str, str]:
    """Return the body of a successful login; every member is a string.

    Args:
        token: The new session id.
        user: Whose it is.
        scope: What it may be used for, words separated by blanks.
        issuer: The org.
        now: When it was issued.

    """
    identity, issued_at = issuer.identity(user), str(int(now.timestamp() * 1000))
    signature = hmac.digest(
        issuer.secret.encode("ascii"), (identity + issued_at).encode("ascii"), "sha256"
    )
    return {
        "access_token": token,
        "scope": scope,
        "instance_url": issuer.url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "signature": base64.b64encode(signature).decode("ascii"),
        "api_instance_url": issuer.url,
    }
