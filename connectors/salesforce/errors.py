"""What can go wrong on the way to Salesforce. Texts of the org never enter these."""

from connectors.salesforce.codes import OrgError
from schemas.errors import HaltError, RetriableError


class OrgUnavailableError(RetriableError):
    """The org gave no usable answer; what it did with the request is not known.

    Attributes:
        fate_unknown: The request may have arrived, and may still be carried out.

    """

    def __init__(self, text: str, *, fate_unknown: bool = False) -> None:
        """Keep whether something may still come of the request."""
        super().__init__(text)
        self.fate_unknown = fate_unknown


class OrgRestedError(OrgUnavailableError):
    """A call was kept back: the org does not answer, or our calls of the day are used up.

    Attributes:
        again_in_s: When a call will be let through, in seconds.

    """

    def __init__(self, text: str, *, again_in_s: float) -> None:
        """Keep when to come back; nothing was sent."""
        super().__init__(text)
        self.again_in_s = again_in_s


class SessionRefusedError(HaltError):
    """The org refuses our session id.

    Attributes:
        may_refresh: A new login may mend it, if this session was not new itself.

    """

    def __init__(self, text: str, *, may_refresh: bool) -> None:
        """Keep whether to log in again."""
        super().__init__(text)
        self.may_refresh = may_refresh


class LoginRefusedError(HaltError):
    """The org refuses to log us in; somebody has to change its set-up or ours."""


class RequestRefusedError(HaltError):
    """The org refuses a whole request for a reason that is ours to mend.

    Attributes:
        status: HTTP status.
        error: The org's error code, the fields it names and what to do about it.

    """

    def __init__(self, text: str, *, status: int, error: OrgError) -> None:
        """Keep the code for callers that tell one refusal from another."""
        super().__init__(text)
        self.status = status
        self.error = error


class BodyRefusedError(RequestRefusedError):
    """The org refuses a whole request because of its rows; a smaller one may pass.

    Attributes:
        fate_unknown: An earlier try of the same request was not answered, and may still be
            carried out.

    """

    fate_unknown = False


class UnsendableValueError(HaltError):
    """A value has no faithful form in the org's JSON: the gate should not have passed it.

    Attributes:
        row: Position of its row in the request, from 0.
        field: The field's Salesforce name.
        problem: What is wrong with it, without the value.

    """

    def __init__(self, row: int, field: str, problem: str) -> None:
        """Name the row and the field, not the value."""
        super().__init__(f"row {row}, field {field}: {problem}")
        self.row = row
        self.field = field
        self.problem = problem
