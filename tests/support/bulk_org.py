"""An org whose answers to the calls of Bulk API jobs a test decides."""

from collections.abc import Callable
from typing import Any

from kept_jobs import rows_of

from connectors.salesforce.refusals import Answer, Call, refusal

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
JOB, USER = "7505fEXAMPLE4C2AAM", "0055fEXAMPLE4C2AAM"
ROWS = rows_of("k", 3)
Say = Callable[[Call], Any]


class Org:
    """Answers as *say* says; where that says None, as an org that carries every job out.

    Attributes:
        calls: What was asked: ``METHOD path``.

    """

    def __init__(self, say: Say = lambda _: None) -> None:
        self.say = say
        self.calls: list[str] = []
        self.data_path = "/services/data/v62.0"

    def send(self, call: Call) -> Answer:
        self.calls.append(f"{call.method} {call.path.removeprefix('jobs/ingest')}")
        said = self.say(call)
        if isinstance(said, Exception):
            raise said
        return Answer(_usual(call) if said is None else said)


def _usual(call: Call) -> Any:
    if call.path.endswith("/successfulResults"):
        lines = ["sf__Id,sf__Created,External_Id__c,Base_Version__c"]
        return "\n".join([*lines, *(f"a01,true,{row[KEY]},1" for row in ROWS)]).encode()
    if call.raw:
        return b""
    if "jobType" in call.path:
        return {"done": True, "records": []}
    return {"id": JOB, "createdById": USER, "state": "JobComplete"}


def saying(**answers: Any) -> Say:
    """Return what answers a call by its verb's first word."""
    return lambda call: answers.get(call.verb.split()[0])


def refused(call: Call, status: int, code: str) -> Exception:
    return refusal(call, status, [{"errorCode": code, "message": "x"}])
