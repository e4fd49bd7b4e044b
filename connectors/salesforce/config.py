"""Where the central Salesforce is and who we are there, checked once at start."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    FilePath,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)
from pydantic.dataclasses import dataclass

from connectors.salesforce.options import SinkOptions

Origin = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
ApiVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}\.0$")]
Filled = Annotated[str, StringConstraints(min_length=1)]
Share = Annotated[float, Field(gt=0, le=1)]
PASSWORDS = frozenset({"password", "security_token"})
_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class App:
    """An External Client App that lets us in, by exactly one of two OAuth flows.

    Passwords are none of them: Salesforce takes no more in new orgs, and ends them in all by
    February 2027.

    Attributes:
        consumer_key: The app's.
        private_key_file: JWT bearer: PEM of the RSA key whose certificate the app holds.
        client_secret_file: Client credentials: the app's consumer secret, alone in a file that
            only we may read.

    """

    consumer_key: Filled = field(repr=False)
    private_key_file: FilePath | None = None
    client_secret_file: FilePath | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_passwords(cls, values: Any) -> Any:  # noqa: ANN401, whatever was configured
        given = getattr(values, "kwargs", values) or {}
        if isinstance(given, Mapping) and not PASSWORDS.isdisjoint(given):
            msg = (
                "no logins by password: Salesforce ends them by February 2027; give"
                " private_key_file (JWT bearer) or client_secret_file (client credentials)"
            )
            raise ValueError(msg)
        return values

    @model_validator(mode="after")
    def _check_flow(self) -> Self:
        if (self.private_key_file is None) == (self.client_secret_file is None):
            msg = "give private_key_file (JWT bearer) or client_secret_file (client credentials)"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SalesforceConfig(App):
    """One region's way into the org.

    Attributes:
        instance_url: The org's My Domain, ``https://host[:port]`` without a path. Requests go
            here and nowhere else, whatever address a login answers with.
        consumer_key: Of the region's own External Client App; see `App` for its key or secret,
            which are read at each login, so that a rotated one needs no restart.
        standby: Apps to try in turn when that one no longer lets us in, or not yet. An app
            holds one certificate, so a certificate is rotated by a second app.
        username: The region's integration user; client credentials come with their own.
        ca_file: PEM of the authorities to trust, or None for the usual public ones.
        api_version: REST API version; upserts say ``created`` from 46.0 on.
        connect_timeout_s: Longest wait for a connection, in seconds.
        read_timeout_s: Longest silence of the org within a call, in seconds. The org itself
            waits up to 10 s for a row's lock.
        call_timeout_s: Longest that one try of a call may take, logins included, however its
            answer trickles in; the org itself ends a call after 600 s.
        gzip_from: Request bodies of so many bytes or more go gzipped; None: none do.
        api_share: The part of the org's daily API calls that this region may use.
        limit_pause_s: How long to make no call when none are left, in seconds.
        sink: How rows are written.

    """

    instance_url: Origin
    username: str = ""
    standby: tuple[App, ...] = ()
    ca_file: FilePath | None = None
    api_version: ApiVersion = "62.0"
    connect_timeout_s: PositiveFloat = 5.0
    read_timeout_s: PositiveFloat = 60.0
    call_timeout_s: PositiveFloat = 600.0
    gzip_from: PositiveInt | None = 16_384
    api_share: Share = 1.0
    limit_pause_s: PositiveFloat = 300.0
    sink: SinkOptions = field(default_factory=SinkOptions)

    @model_validator(mode="after")
    def _check_user(self) -> Self:
        if not self.username and any(app.private_key_file for app in self.apps):
            msg = "JWT bearer needs username"
            raise ValueError(msg)
        return self

    @property
    def apps(self) -> tuple[App, ...]:
        """Every app that may let us in, in the order to try them."""
        return (self, *self.standby)

    @property
    def timeout_s(self) -> tuple[float, float]:
        """Return (connect, read) time-outs in seconds, as ``requests`` takes them."""
        return self.connect_timeout_s, self.read_timeout_s
