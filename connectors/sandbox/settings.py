"""The org's settings: texts by name, which it keeps for good."""

from connectors.sandbox.store import Store


def setting(store: Store, name: str, default: str) -> str:
    """Return a setting, storing *default* the first time."""
    store.run("INSERT OR IGNORE INTO org VALUES (?, ?)", (name, default))
    return str(store.select("SELECT value FROM org WHERE name = ?", (name,))[0][0])


def set_setting(store: Store, name: str, value: str) -> None:
    """Store a setting."""
    sql = "INSERT INTO org VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    store.run(sql, (name, value))
