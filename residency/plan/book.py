"""The plans of one region, and the whole way from raw bytes to minimal records."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

from residency import topics
from residency.contracts.model import Contract
from residency.contracts.read import load_contract
from residency.keys import TokenKeys
from residency.plan.approved import approved_digests
from residency.plan.compile import Policy, compile_plan
from residency.plan.faults import Fault, PlanError
from residency.plan.labels import request_value
from residency.plan.model import Plan
from residency.plan.processors import NO_PROCESSORS, Processors, check_refs
from residency.plan.residence import COUNTRY, SUBDIVISION, Residence
from residency.plan.strip import ask, strip
from residency.plan.tasks import NO_TASKS, Tasks
from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.walker import Walker
from residency.plan.walk.wish import UnwalkableError
from residency.policy.packs import CENTRAL, load_destination, load_packs
from residency.regions import load_regions
from residency.tokens import Tokeniser
from residency.vault.rawseal import is_sealed
from schemas.codec import HEADER, MAGIC, decode_physical, split
from schemas.errors import QuarantineError, Reason
from schemas.events import (
    ClassifiedEvent,
    Coordinates,
    LabelRequest,
    MinimalRecord,
    RawBatch,
    RawEvent,
    row_version,
)
from schemas.registry import Registry, load_registry

MAX_VALUE_BYTES = 1_000_000  # the broker's own limit is a little above


def load_policy(region: str, on: date) -> Policy:
    """Return the policy that holds in *region* on a day."""
    return Policy(region, load_packs(load_regions()[region].packs), load_destination(CENTRAL), on)


def compile_all(  # noqa: PLR0913, PLR0917
    region: str,
    on: date,
    registry: Registry | None = None,
    contract: Contract | None = None,
    processors: Processors = NO_PROCESSORS,
    tasks: Tasks = NO_TASKS,
) -> tuple[Plan, ...]:
    """Return a plan for every raw schema in *region*.

    Raises:
        PlanError: With the problems of all schemas at once.

    """
    known, wanted = registry or load_registry(), contract or load_contract()
    plans, faults = compile_each(region, on, known, wanted, processors, tasks)
    if faults:
        raise PlanError(faults)
    return plans


def compile_each(  # noqa: PLR0913, PLR0917
    region: str,
    on: date,
    registry: Registry,
    contract: Contract,
    processors: Processors = NO_PROCESSORS,
    tasks: Tasks = NO_TASKS,
) -> tuple[tuple[Plan, ...], tuple[Fault, ...]]:
    """Return the plans of the schemas that have one, and what keeps the others from it."""
    policy, plans, faults = load_policy(region, on), list[Plan](), list[Fault]()
    for schema in registry.raw():
        try:
            plans.append(compile_plan(schema, contract, policy, registry, processors, tasks))
        except PlanError as exc:
            faults += exc.faults
    return tuple(plans), tuple(faults)


@dataclass(frozen=True)
class Crossing:
    """What became of one raw event at the border: what may leave, and what a model is asked."""

    plan: Plan
    records: tuple[MinimalRecord, ...]
    requests: tuple[LabelRequest, ...] = ()


class Crossed(NamedTuple):
    """What one raw record becomes, as bytes: what the border's hop sends.

    Attributes:
        plan: What decided; its outputs and `rows` correspond.
        rows: Per output the external id and the value, in wire format, of the minimal record
            or of the request for labels. Empty: nothing to send.

    """

    plan: Plan
    rows: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def many(cls, plan: Plan, rows: Iterable[Any]) -> list["Crossed"]:
        """Return what a plan made of several records, in a third of the time of the constructor."""
        return list(map(partial(tuple.__new__, cls), zip(repeat(plan), rows, strict=False)))

    def __repr__(self) -> str:
        """Show how many rows there are, not what they hold."""
        return f"Crossed({len(self.rows)} rows)"


class PlanBook:
    """The approved plans of one region with the keys to carry them out."""

    def __init__(
        self,
        region: str,
        plans: Mapping[int, Plan],
        keys: TokenKeys,
        registry: Registry,
        processors: Processors = NO_PROCESSORS,
    ) -> None:
        """Take the approved plans by schema id, and the processors that they name.

        Raises:
            SetupError: A processor is not the one that a plan names.

        """
        for output in (output for plan in plans.values() for output in plan.outputs):
            check_refs(output.processors, processors)
        self.region, self.plans = region, plans
        self._registry, self._processors = registry, processors
        self._residence = Residence(region)
        self._tokenisers = {
            name: Tokeniser(keys, name) for name in {p.destination for p in plans.values()}
        }
        self._walkers = dict(self._make_walkers()) if IS_ACCELERATED else {}

    def _make_walkers(self) -> Iterator[tuple[tuple[str, bytes], Walker]]:
        """Yield a walker for each plan that has one, by topic and first bytes of its records."""
        for plan in self.plans.values():
            if any(output.processors for output in plan.outputs):
                continue  # they work on decoded fields, so `strip` carries it out
            schema = self._registry.by_id(plan.schema_id)
            tokens = self._tokenisers[plan.destination]
            try:
                walker = Walker(plan, schema, tokens, self._registry, (COUNTRY, SUBDIVISION))
            except UnwalkableError:
                continue  # `strip` carries it out
            topic = topics.raw(self.region, schema.domain)
            yield (topic, HEADER.pack(MAGIC, schema.id)), walker

    @property
    def is_fast(self) -> bool:
        """Whether whole batches are walked. If not, `strip` decides every record, far slower."""
        return bool(self._walkers)

    def warm_up(self) -> None:
        """Compile what walks batches, or load it from its cache: some seconds the first time."""
        for walker in self._walkers.values():
            walker.walk([b""], [0])  # one that is malformed passes all steps

    @classmethod
    def load(
        cls,
        region: str,
        keys: TokenKeys,
        on: date,
        processors: Processors = NO_PROCESSORS,
        tasks: Tasks = NO_TASKS,
    ) -> "PlanBook":
        """Compile the region's plans and keep those whose digest is approved.

        A processor or a task whose file changed makes another plan, which nobody approved:
        the schema's events go to quarantine as ``no-approved-plan``.
        """
        approved = approved_digests(region)
        compiled = compile_all(region, on, processors=processors, tasks=tasks)
        plans = {p.schema_id: p for p in compiled if p.digest in approved}
        return cls(region, plans, keys, load_registry(), processors)

    def minimise(self, raw: RawEvent) -> Crossing:
        """Return what may leave of one raw record.

        Raises:
            QuarantineError: It cannot be decided: see `schemas.errors.Reason`.

        """
        if len(raw.value) > MAX_VALUE_BYTES:
            raise QuarantineError(Reason.OVERSIZE)
        if is_sealed(raw.value):
            raise QuarantineError(Reason.UNOPENED)
        try:
            schema, values = decode_physical(self._registry, raw.value)
        except QuarantineError as error:
            raise QuarantineError(error.reason, error.path, self._named(raw.value)) from None
        if raw.at.topic != topics.raw(self.region, schema.domain):
            raise QuarantineError(Reason.WRONG_TOPIC)
        plan = self.plans.get(schema.id)
        if plan is None:
            raise QuarantineError(Reason.NO_APPROVED_PLAN)
        event = ClassifiedEvent(raw, schema.id, values)
        tokeniser = self._tokenisers[plan.destination]
        try:
            self._residence.check(values)
            records = strip(event, plan, tokeniser, self._registry, self._processors)
            return Crossing(plan, records, ask(event, plan, tokeniser))
        except QuarantineError as error:
            raise QuarantineError(error.reason, error.path, plan.digest) from None

    def _named(self, value: bytes) -> str | None:
        """Return the digest of the plan of the schema that a header names, if it has one."""
        try:
            plan = self.plans.get(split(value)[0])
        except QuarantineError:
            return None
        return plan.digest if plan is not None else None

    def minimise_batch(
        self, batch: RawBatch, generation_of: Callable[[str], int]
    ) -> list[Crossed | QuarantineError]:
        """Return what becomes of each record, in order: what `minimise` says, as bytes.

        Args:
            batch: Of this region's raw topics.
            generation_of: Topic name to its generation.

        """
        verdicts: list[Crossed | QuarantineError | None] = [None] * len(batch)
        offsets, values = batch.offsets, batch.values
        for walker, numbers in self.walkers_of(batch):
            first = row_version(generation_of(batch.topics[numbers[0]]), 0)
            walked = walker.walk(
                [values[n] for n in numbers], [first + offsets[n] for n in numbers]
            )
            made = Crossed.many(walker.plan, walked.rows)
            columns = zip(numbers, made, walked.rows, walked.asked, strict=True)
            for n, crossed, rows, residence in columns:
                if rows is not None and self._residence.is_ours(residence):
                    verdicts[n] = crossed
        return [
            self._decide(batch, n, generation_of) if verdict is None else verdict
            for n, verdict in enumerate(verdicts)
        ]

    def walkers_of(self, batch: RawBatch) -> Iterator[tuple[Walker, list[int]]]:
        """Yield each walker of a batch and the numbers of the records that it walks."""
        for where, numbers in _grouped(batch).items():
            walker = self._walkers.get(where)
            if walker is not None:
                yield walker, numbers

    def _decide(
        self, batch: RawBatch, n: int, generation_of: Callable[[str], int]
    ) -> Crossed | QuarantineError:
        """Return what the definition says of one record."""
        at = Coordinates(batch.topics[n], batch.partitions[n], batch.offsets[n])
        try:
            crossing = self.minimise(RawEvent(at, "", generation_of(at.topic), batch.values[n]))
        except QuarantineError as error:
            return error
        rows = {r.id.output: (r.external_id.encode(), r.value) for r in crossing.records} | {
            r.id.output: (r.external_id.encode(), request_value(r, self._registry))
            for r in crossing.requests
        }
        return Crossed(crossing.plan, tuple(row for _, row in sorted(rows.items())))

    def keys_version(self, plan: Plan) -> int:
        """Return the version of the token keys with which *plan* is carried out."""
        return self._tokenisers[plan.destination].version


def _grouped(batch: RawBatch) -> dict[tuple[str, bytes], list[int]]:
    """Return the records' numbers by topic and first bytes; the oversize ones are left out."""
    groups: dict[tuple[str, bytes], list[int]] = {}
    for n, (topic, value) in enumerate(zip(batch.topics, batch.values, strict=True)):
        if len(value) <= MAX_VALUE_BYTES:
            groups.setdefault((topic, value[: HEADER.size]), []).append(n)
    return groups
