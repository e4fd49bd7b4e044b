"""Where the central Salesforce is and who we are there, checked once at start."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from pydantic import ConfigDict, FilePath, PositiveFloat, StringConstraints, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.dataclasses import dataclass

from connectors.salesforce.options import SinkOptions
from schemas.errors import SetupError

Origin = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")]
ApiVersion = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}\.0$")]
Filled = Annotated[str, StringConstraints(min_length=1)]


@dataclass(
    frozen=True,
    slots=True,
    kw_only=True,
    config=ConfigDict(extra="forbid", hide_input_in_errors=True),
)
class SalesforceConfig:
    """One region's way into the org.

    Attributes:
        instance_url: The org's My Domain, ``https://host[:port]`` without a path. Requests go
            here and nowhere else, whatever address a login answers with.
        consumer_key: Of the region's own External Client App.
        username: The region's integration user.
        private_key_file: PEM of the RSA key whose certificate the app holds. Read at each
            login, so that a rotated key needs no restart.
        ca_file: PEM of the authorities to trust, or None for the usual public ones.
        api_version: REST API version; upserts say ``created`` from 46.0 on.
        connect_timeout_s: Longest wait for a connection, in seconds.
        read_timeout_s: Longest silence of the org within a call, in seconds. The org itself
            waits up to 10 s for a row's lock.
        sink: How rows are written.

    """

    instance_url: Origin
    consumer_key: Filled = field(repr=False)
    username: Filled
    private_key_file: FilePath
    ca_file: FilePath | None = None
    api_version: ApiVersion = "62.0"
    connect_timeout_s: PositiveFloat = 5.0
    read_timeout_s: PositiveFloat = 60.0
    sink: SinkOptions = field(default_factory=SinkOptions)

    @property
    def timeout_s(self) -> tuple[float, float]:
        """Return (connect, read) time-outs in seconds, as ``requests`` takes them."""
        return self.connect_timeout_s, self.read_timeout_s


def load_config(values: Mapping[str, object]) -> SalesforceConfig:
    """Return *values* as a checked configuration; unknown names are refused.

    Raises:
        SetupError: Something is missing, unknown or malformed; names it, never its value.

    """
    try:
        return TypeAdapter(SalesforceConfig).validate_python(dict(values))
    except PydanticError as exc:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in exc.errors()]
    msg = f"the salesforce section of the service file: {'; '.join(problems)}"
    raise SetupError(msg)
