"""Tells a person by HTTP: one POST of JSON to an address that is a secret.

Nothing of an error's text is passed on: requests puts the address into it, and whoever knows the
address of a chat's webhook may write there.
"""

import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Final, Literal

import requests
from pydantic import ConfigDict, Field, FilePath, StringConstraints
from pydantic.dataclasses import dataclass

from schemas.errors import RetriableError

_LOOPBACK = r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?"
Address = Annotated[
    str,
    StringConstraints(pattern=rf"^(https://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?|{_LOOPBACK})(/\S*)?$"),
]
TimeoutS = Annotated[float, Field(gt=0, le=60)]
REDIRECTED: Final = 300
# It warns of an answer's malformed headers, and names the whole address then; those of the org's
# queries hold tokens.
logging.getLogger("urllib3").setLevel(logging.ERROR)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class WebhookConfig:
    """Where to tell a person.

    Attributes:
        url: ``https``, or ``http`` on loopback. A secret: it is never logged.
        form: ``json``: our own document; ``slack``: ``{"text"}``, which most chats take.
        timeout_s: For the connection, and again for each part of the answer.
        ca_file: PEM of the authorities to trust, or None for the usual public ones.

    """

    url: Address = field(repr=False)
    form: Literal["json", "slack"] = "json"
    timeout_s: TimeoutS = 5.0
    ca_file: FilePath | None = None


def tell(config: WebhookConfig, document: Mapping[str, Any], text: str) -> None:
    """Send *document*, or *text* where the form asks for that, once; follows no redirect.

    Raises:
        RetriableError: Nobody took it; names the kind of failure alone.

    """
    body = {"text": text} if config.form == "slack" else dict(document)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no .netrc: it goes there and nowhere else
        session.verify = True if config.ca_file is None else str(config.ca_file)
        try:
            with session.post(
                config.url,
                json=body,
                timeout=config.timeout_s,
                allow_redirects=False,
                stream=True,  # what it says beyond the status is not read
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError, ValueError) as exc:
            failure = type(exc).__name__
        else:
            if status < REDIRECTED:
                return
            failure = f"HTTP {status}"
    msg = f"the webhook did not take it: {failure}"
    raise RetriableError(msg)  # outside the block: the cause would quote the address
