"""What the org answers when it refuses: the texts of the real API.

Unlike our own errors these may echo a value, as the real ones do: they go back to the caller
who sent it and nowhere else. Nothing here is ever logged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One refusal.

    Attributes:
        code: Salesforce's code, such as ``STRING_TOO_LONG``.
        message: Text for people; may hold a value.
        fields: API names of the fields at fault; None leaves the member out.
        is_parse_error: The real API may refuse a whole request for it, see `OrgOptions`.
        more: Further members in the body of a refused request.

    """

    code: str
    message: str
    fields: tuple[str, ...] | None = ()
    is_parse_error: bool = False
    more: Mapping[str, Any] | None = None

    def as_record_error(self) -> dict[str, Any]:
        """Return the form used inside a collection's answer."""
        return {
            "statusCode": self.code,
            "message": self.message,
            "fields": list(self.fields or ()),
        }

    def as_request_error(self) -> dict[str, Any]:
        """Return the form used as the body of a refused request."""
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = list(self.fields)
        return body | dict(self.more or {})


NO_ACCESS = Problem("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
NO_SUCH_ROW = Problem("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
IS_DELETED = Problem("ENTITY_IS_DELETED", "entity is deleted")


class ApiError(Exception):
    """The whole request is refused.

    Attributes:
        status: HTTP status.
        problems: What the body lists; one or more.
        headers: Of the answer, such as ``Allow``.

    """

    def __init__(self, status: int, problems: Sequence[Problem]) -> None:
        """Name the codes; the messages may hold values."""
        super().__init__(f"{status} {', '.join(p.code for p in problems)}")
        self.status = status
        self.problems = tuple(problems)
        self.headers: dict[str, str] = {}

    def body(self) -> list[dict[str, Any]]:
        """Return the JSON body: always an array."""
        return [problem.as_request_error() for problem in self.problems]


class InvalidValueError(ValueError):
    """One field's value is refused.

    Attributes:
        problem: The refusal.

    """

    def __init__(self, problem: Problem) -> None:
        """Name the code; the message may hold the value."""
        super().__init__(problem.code)
        self.problem = problem


def refuse(status: int, code: str, message: str, fields: tuple[str, ...] | None = None) -> ApiError:
    """Return an `ApiError` with one problem."""
    return ApiError(status, [Problem(code, message, fields)])


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """Return the 404 of a resource, object, field or row that this user cannot see."""
    return refuse(404, "NOT_FOUND", message)


def malformed_id(text: str) -> Problem:
    """Return the refusal of what is no id of any object."""
    return Problem("MALFORMED_ID", f"malformed id {text}")


def too_many_ids(limit: int) -> ApiError:
    """Return the refusal of a call for more rows than *limit*."""
    text = f"record limit reached. cannot submit more than {limit} records into this call"
    return refuse(400, "EXCEEDED_ID_LIMIT", text)


def no_such_column(field: str, sobject: str) -> Problem:
    """Return the refusal of a field that does not exist, or that the user may not read."""
    text = f"No such column '{field}' on sobject of type {sobject}"
    return Problem("INVALID_FIELD", text, None, is_parse_error=True)


def unexpected(error_id: str = "1452464078-314667 (-1173371248)") -> Problem:
    """Return the refusal of what went wrong in the org itself; people quote the id."""
    text = (
        "An unexpected error occurred. Please include this ErrorId if you contact support: "
        + error_id
    )
    return Problem("UNKNOWN_EXCEPTION", text, None)


def duplicate_value(field: str, other: str) -> Problem:
    """Return the refusal of a value of *field* that the row with the id *other* has."""
    text = f"duplicate value found: {field} duplicates value on record with id: {other}"
    return Problem("DUPLICATE_VALUE", text, (field,))


def not_writable(names: Sequence[str]) -> Problem:
    """Return the refusal of fields the user may read but not write."""
    listed = ", ".join(names)
    text = (
        f"Unable to create/update fields: {listed}. Please check the security settings of this "
        "field and verify that it is read/write for your profile or permission set."
    )
    return Problem("INVALID_FIELD_FOR_INSERT_UPDATE", text, tuple(names))


def parse_error(message: str) -> ApiError:
    """Return the refusal of a body that is not the JSON the resource expects."""
    return refuse(400, "JSON_PARSER_ERROR", message)


def wrong_json(value: object, wanted: str) -> InvalidValueError:
    """Return the refusal of a JSON value of the wrong type; the place is added by the reader."""
    text = (
        f"Cannot deserialize instance of {wanted} from {_token(value)} or request may be missing "
        "a required field"
    )
    return InvalidValueError(Problem("JSON_PARSER_ERROR", text, None, is_parse_error=True))


def _token(value: object) -> str:
    """Return a JSON value as the real API's parser names it."""
    if isinstance(value, bool):
        word = str(value).lower()
        return f"VALUE_{word.upper()} value {word}"
    if isinstance(value, int):
        return f"VALUE_NUMBER_INT value {value}"
    if isinstance(value, Decimal):
        return f"VALUE_NUMBER_FLOAT value {value}"
    if isinstance(value, str):
        return f"VALUE_STRING value {value}"
    return "START_ARRAY value [" if isinstance(value, list) else "START_OBJECT value {"
