"""Who may look: whoever can read the home folder gets a link, and the link a cookie.

Both are digests in the org's database, so a link can be made while the org runs or not, and a
cookie outlives a restart.
"""

import secrets
import time

from connectors.sandbox.logins.tokens import digest
from connectors.sandbox.store import Store

LINK_LIFE_S = 600
VISIT_LIFE_S = 12 * 3600


def new_link_key(store: Store) -> str:
    """Return a key that opens the pages once, within ten minutes."""
    return _add(store, is_link=True, life_s=LINK_LIFE_S)


class Visits:
    """The browsers that may see the pages."""

    def __init__(self, store: Store) -> None:
        """Keep them in *store*."""
        self._store = store

    def open(self, key: str) -> str | None:
        """Return the cookie that a link's key is good for, or None if it is good for nothing."""
        sql = "DELETE FROM page_keys WHERE digest = ? AND is_link AND ends_at > ?"
        if not self._store.run(sql, (digest(key), int(time.time()))):
            return None
        return _add(self._store, is_link=False, life_s=VISIT_LIFE_S)

    def is_open(self, cookie: str) -> bool:
        """Return whether *cookie* lets its browser see the pages."""
        sql = "SELECT 1 FROM page_keys WHERE digest = ? AND NOT is_link AND ends_at > ?"
        return bool(self._store.select(sql, (digest(cookie), int(time.time()))))


def _add(store: Store, *, is_link: bool, life_s: int) -> str:
    key, now = secrets.token_urlsafe(24), int(time.time())
    with store.transaction():
        store.run("DELETE FROM page_keys WHERE ends_at <= ?", (now,))
        store.run("INSERT INTO page_keys VALUES (?, ?, ?)", (digest(key), is_link, now + life_s))
    return key
