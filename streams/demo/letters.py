"""The demo's account events, messages and reviews as plain JSON."""

from streams.demo import phrases
from streams.demo.orders import Desk, stamp
from streams.demo.people import Person, Plain


def registered(desk: Desk, person: Person) -> Plain:
    """Return a CustomerRegistered."""
    event = desk.head(person)
    code = f"friend-{desk.marks.word()}" if desk.rng.random() < 0.3 else None  # noqa: PLR2004
    return event | _account(desk, person, event["occurred_at"]) | {"referral_code": code}


def changed(desk: Desk, person: Person, account: Plain) -> Plain:
    """Return a CustomerChanged that follows the event *account*."""
    event = desk.head(person)
    state = _account(desk, person, account["registered_at"])
    previous = f"{desk.marks.word()}@old.example"
    return event | state | {"changed": ["email", "consent"], "previous_email": previous}


def _account(desk: Desk, person: Person, registered_at: str) -> Plain:
    consent = {
        "purpose": "marketing",
        "granted": True,
        "decided_at": registered_at,
        "wording": f"News, please. ({desk.marks.word()})",
    }
    return {
        "registered_at": registered_at,
        "home_address": person.address,
        "addresses": [person.address | {"street2": f"office of {desk.marks.name()}"}],
        "marketing_consent": desk.rng.random() < 0.5,  # noqa: PLR2004
        "consents": [consent],
        "nickname": desk.marks.name(),
        "tax_number": desk.marks.tax_number(person.country.code),
        "device": person.device,
        "attributes": {"newsletter_source": f"campaign {desk.marks.word()}"},
    }


def erasure(desk: Desk, person: Person) -> Plain:
    """Return a CustomerErasureRequested."""
    event = desk.head(person, described=False)
    return event | {
        "request_id": f"erase-{desk.marks.word()}",
        "reason": desk.rng.choice(("withdrawn_consent", "objection", "account_closed")),
        "requested_at": event["occurred_at"],
        "contact_email": person.email,
        "note": f"Signed, {desk.marks.name()}",
    }


def signed_in(desk: Desk, person: Person) -> Plain:
    """Return a CustomerSignedIn."""
    return desk.head(person, described=False) | {
        "username": f"user-{desk.marks.word()}",
        "method": desk.rng.choice(("password", "passkey", "link")),
        "succeeded": desk.rng.random() < 0.95,  # noqa: PLR2004
        "device": person.device,
        "session_id": f"session-{desk.marks.word()}",
        "latitude": round(desk.rng.uniform(36.0, 60.0), 5),
        "longitude": round(desk.rng.uniform(-9.0, 28.0), 5),
    }


def message(desk: Desk, person: Person, placed: Plain) -> Plain:
    """Return a SupportMessageReceived about an order."""
    event = desk.head(person, described=False)
    subject, body = desk.phrase(phrases.MESSAGES, person)
    photo = {
        "file_name": f"photo-{desk.marks.word()}.jpg",
        "media_type": "image/jpeg",
        "size_bytes": desk.rng.randrange(10_000, 4_000_000),
    }
    return event | {
        "message_id": f"msg-{desk.marks.word()}",
        "thread_id": f"thread-{desk.marks.word()}",
        "received_at": stamp(desk.now),
        "order_id": placed["order_id"],
        "sku": placed["items"][0]["sku"],
        "channel": desk.rng.choice(("email", "chat", "web", "app")),
        "language": person.customer["language"],
        "sender_email": person.email,
        "sender_name": person.full_name,
        "subject": f"{subject} ({desk.marks.word()})",
        "body": body.format(mark=desk.marks.name()),
        "attachments": [photo] if desk.rng.random() < 0.3 else [],  # noqa: PLR2004
        "device": person.device,
    }


def review(desk: Desk, person: Person, placed: Plain) -> Plain:
    """Return a ProductReviewSubmitted about an order's first line."""
    event = desk.head(person, described=False)
    rating, title, body = desk.phrase(phrases.REVIEWS, person)
    return event | {
        "message_id": f"msg-{desk.marks.word()}",
        "received_at": stamp(desk.now),
        "order_id": placed["order_id"],
        "sku": placed["items"][0]["sku"],
        "rating": rating,
        "channel": "web",
        "language": person.customer["language"],
        "nickname": desk.marks.name(),
        "sender_email": person.email,
        "title": f"{title} ({desk.marks.word()})",
        "body": body.format(mark=desk.marks.name()),
        "photos": [],
        "device": person.device,
    }
