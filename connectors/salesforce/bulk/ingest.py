"""The calls of ``/jobs/ingest``, each tried until the org answers or its deadline is over.

An answer may say that an earlier try of the same call was carried out: to have a job closed,
aborted or deleted twice is refused, and is success.

Source: Bulk API 2.0 guide, "Bulk API 2.0 Ingest".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from connectors.salesforce.bulk.results import ResultSets
from connectors.salesforce.codes import Handling
from connectors.salesforce.composite import Sender
from connectors.salesforce.errors import OrgUnavailableError, RequestRefusedError
from connectors.salesforce.refusals import Call, api_name, halt_text

NOT_FOUND = 404
INGEST = "jobs/ingest"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_KIND = re.compile(r"\s*([A-Za-z]+)\s*:")
_NO_FIELD = re.compile(r"\bField name not found\s*:\s*([A-Za-z][A-Za-z0-9_.]*)")

# What fails a job before any of its rows is looked at, and would fail the next one likewise.
OURS = frozenset({"ClientInputError", "FeatureNotEnabled", "InvalidBatch", "InvalidJob"})
# What fails the rows that are left for a reason of their own, as a lock does over REST.
LOCKS = frozenset({"TooManyLockFailure"})


class State(StrEnum):
    """Where a job stands."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"


ENDED = frozenset({State.JOB_COMPLETE, State.FAILED, State.ABORTED})
RUNNING = frozenset({State.UPLOAD_COMPLETE, State.IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class Info:
    """What the org says of a job.

    Attributes:
        processed: Rows, the failed ones included.
        failure: The kind of its failure, such as ``TooManyLockFailure``; empty if it has none.
        unknown_field: The column that the object does not have for us; empty if not told.

    """

    state: State
    processed: int = 0
    failed: int = 0
    failure: str = ""
    unknown_field: str = ""

    @property
    def unprocessed(self) -> Handling:
        """How to handle the rows that the job did not come to."""
        return Handling.AGAIN if self.failure in LOCKS else Handling.BUSY


@dataclass(frozen=True, slots=True)
class Created:
    """A new job, and the Id of the user whose it is: ours."""

    id: str
    user: str


class Ingest:
    """Makes the calls over one client."""

    def __init__(self, client: Sender) -> None:
        """Take a client; nothing is sent yet."""
        self._client = client

    def create(self, sobject: str, operation: str, key_field: str) -> Created:
        """Open a job.

        A try that was not answered may leave an open job behind, without data: see `open_jobs`.

        Raises:
            OrgUnavailableError: No answer.
            HaltError: The org takes no such job from us; says what to do.

        """
        order = {
            "object": api_name(sobject),
            "operation": operation,
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        if operation == "upsert":
            order["externalIdFieldName"] = api_name(key_field)
        call = Call("create job for", sobject, "POST", INGEST, body=orjson.dumps(order))
        try:
            content = self._client.send(call).content
        except RequestRefusedError as exc:
            text = halt_text(str(call), exc.error, exc.status)
            raise RequestRefusedError(text, status=exc.status, error=exc.error) from None
        found = content if isinstance(content, Mapping) else {}
        return Created(_id(found.get("id"), call), _id(found.get("createdById"), call))

    def upload(self, job: str, sobject: str, body: bytes) -> None:
        """Send a job's data.

        Raises:
            OrgUnavailableError: No answer.
            BodyRefusedError: The org does not take it; an earlier try may have arrived.

        """
        path = f"{INGEST}/{job}/batches"
        content_type = "text/csv"
        self._client.send(
            Call("upload", sobject, "PUT", path, body=body, content_type=content_type, raw=True)
        )

    def close(self, job: str, sobject: str) -> None:
        """Say that all data is there: from now on the org carries the job out.

        Raises:
            OrgUnavailableError: No answer, or the job is gone or was aborted.

        """
        call = self._move(job, sobject, State.UPLOAD_COMPLETE)
        try:
            self._client.send(call)
        except RequestRefusedError:
            info = self.info(job, sobject)
            if info is None or info.state in {State.OPEN, State.ABORTED}:
                msg = f"{call}: the org did not take the job"
                raise OrgUnavailableError(msg) from None

    def abort(self, job: str, sobject: str) -> bool:
        """Abort a job; return whether it is so: what runs or has ended is not.

        Raises:
            OrgUnavailableError: No answer.

        """
        try:
            self._client.send(self._move(job, sobject, State.ABORTED))
        except RequestRefusedError:
            info = self.info(job, sobject)
            return info is None or info.state is State.ABORTED
        return True

    def info(self, job: str, sobject: str) -> Info | None:
        """Return where a job stands, or None if the org has it no more.

        Raises:
            OrgUnavailableError: No answer.

        """
        call = Call("look at job for", sobject, "GET", f"{INGEST}/{job}")
        try:
            content = self._client.send(call).content
        except RequestRefusedError as exc:
            if exc.status == NOT_FOUND:
                return None
            raise
        return _read_info(content, call)

    def results(self, job: str, sobject: str) -> ResultSets:
        """Return the three result files of a job that has ended.

        Raises:
            OrgUnavailableError: No answer.

        """
        kinds = ("successfulResults", "failedResults", "unprocessedrecords")
        return ResultSets(*(self._file(job, sobject, kind) for kind in kinds))

    def delete(self, job: str, sobject: str) -> None:
        """Remove a job that has ended, with its data and results.

        Raises:
            OrgUnavailableError: No answer.

        """
        call = Call("delete job for", sobject, "DELETE", f"{INGEST}/{job}", raw=True)
        try:
            self._client.send(call)
        except RequestRefusedError as exc:
            if exc.status != NOT_FOUND:
                raise

    def open_jobs(self, user: str) -> Iterator[tuple[str, str]]:
        """Yield id and object of each job that *user* has opened and never closed.

        Raises:
            OrgUnavailableError: No answer.

        """
        home = f"{self._client.data_path}/"
        path: str | None = f"{INGEST}?jobType=V2Ingest"
        while path is not None:
            content = self._client.send(Call("list", "jobs", "GET", path)).content
            found = content if isinstance(content, Mapping) else {}
            for one in found.get("records") or ():
                if one.get("state") == State.OPEN and one.get("createdById") == user:
                    yield str(one.get("id")), str(one.get("object"))
            url = str(found.get("nextRecordsUrl") or "")
            is_ours = not found.get("done", True) and url.startswith(f"{home}{INGEST}")
            path = url.removeprefix(home) if is_ours else None

    def _move(self, job: str, sobject: str, state: State) -> Call:
        verb = "abort job for" if state is State.ABORTED else "close job for"
        body = orjson.dumps({"state": state})
        return Call(verb, sobject, "PATCH", f"{INGEST}/{job}", body=body)

    def _file(self, job: str, sobject: str, kind: str) -> bytes:
        path, headers = f"{INGEST}/{job}/{kind}", {"Accept": "text/csv"}
        call = Call("read results for", sobject, "GET", path, headers=headers, raw=True)
        content: bytes = self._client.send(call).content
        return content


def _id(value: object, call: Call) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        msg = f"{call}: Salesforce's answer has no Id"
        raise OrgUnavailableError(msg)
    return value


def _read_info(content: Any, call: Call) -> Info:  # noqa: ANN401, decoded JSON
    try:
        state = State(content["state"])
        text = str(content.get("errorMessage") or "")
        processed = int(content.get("numberRecordsProcessed") or 0)
        failed = int(content.get("numberRecordsFailed") or 0)
    except (AttributeError, KeyError, TypeError, ValueError):
        msg = f"{call}: Salesforce's answer holds no job"
        raise OrgUnavailableError(msg) from None
    kind, column = _KIND.match(text), _NO_FIELD.search(text)
    failure = kind[1] if kind else ("Unknown" if state is State.FAILED else "")
    return Info(state, processed, failed, failure, column[1] if column else "")
