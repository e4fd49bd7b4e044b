"""The org's users, by name and by number."""

from collections.abc import Iterable

from connectors.sandbox.access import User
from connectors.sandbox.store import Store

_SELECT = "SELECT sequence, username, permission_set FROM users WHERE "


def sync_users(store: Store, users: Iterable[tuple[str, str]]) -> None:
    """Make sure that each (username, permission set) exists; the administrator keeps theirs."""
    with store.transaction():
        store.run_all(
            "INSERT INTO users (username, permission_set) VALUES (?, ?)"
            " ON CONFLICT (username) DO UPDATE SET permission_set = excluded.permission_set"
            " WHERE permission_set IS NOT NULL",
            users,
        )


def user_named(store: Store, username: str) -> User | None:
    """Return the user of that name."""
    rows = store.select(f"{_SELECT}username = ?", (username,))
    return User(*rows[0]) if rows else None


def user_of(store: Store, sequence: int) -> User | None:
    """Return the user with that number."""
    rows = store.select(f"{_SELECT}sequence = ?", (sequence,))
    return User(*rows[0]) if rows else None
