"""The plans of one region, and the whole way from raw bytes to minimal records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from residency import topics
from residency.contracts.model import Contract, load_contract
from residency.keys import TokenKeys
from residency.plan.approved import approved_digests
from residency.plan.compile import PlanError, Policy, compile_plan
from residency.plan.model import Plan
from residency.plan.processors import NO_PROCESSORS, Processors, check_refs
from residency.plan.strip import look_up, strip
from residency.policy.packs import CENTRAL, load_destination, load_packs
from residency.regions import load_regions, region_of
from residency.tokens import Tokeniser
from schemas.codec import decode_physical
from schemas.errors import QuarantineError, Reason
from schemas.events import ClassifiedEvent, MinimalRecord, RawEvent
from schemas.registry import Registry, load_registry

COUNTRY, SUBDIVISION = "customer.residence.country", "customer.residence.subdivision"
MAX_VALUE_BYTES = 1_000_000  # the broker's own limit is a little above


def load_policy(region: str, on: date) -> Policy:
    """Return the policy that holds in *region* on a day."""
    packs = load_packs(load_regions()[region].packs)
    return Policy(region, packs, load_destination(CENTRAL), on)


def compile_all(
    region: str,
    on: date,
    registry: Registry | None = None,
    contract: Contract | None = None,
    processors: Processors = NO_PROCESSORS,
) -> tuple[Plan, ...]:
    """Return a plan for every raw schema in *region*.

    Raises:
        PlanError: With the problems of all schemas at once.

    """
    registry, contract = registry or load_registry(), contract or load_contract()
    policy = load_policy(region, on)
    plans: list[Plan] = []
    problems: list[str] = []
    for schema in registry.raw():
        try:
            plans.append(compile_plan(schema, contract, policy, registry, processors))
        except PlanError as exc:
            problems += exc.problems
    if problems:
        raise PlanError(problems)
    return tuple(plans)


@dataclass(frozen=True)
class Crossing:
    """What became of one raw event at the border."""

    plan: Plan
    records: tuple[MinimalRecord, ...]


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
        for plan in plans.values():
            for output in plan.outputs:
                check_refs(output.processors, processors)
        self.region = region
        self.plans = plans
        self._registry = registry
        self._processors = processors
        self._regions = tuple(load_regions().values())
        self._tokenisers = {
            name: Tokeniser(keys, name) for name in {p.destination for p in plans.values()}
        }

    @classmethod
    def load(
        cls, region: str, keys: TokenKeys, on: date, processors: Processors = NO_PROCESSORS
    ) -> "PlanBook":
        """Compile the region's plans and keep those whose digest is approved.

        A processor whose file changed makes another plan, which nobody approved: the
        schema's events go to quarantine as ``no-approved-plan``.
        """
        approved = approved_digests(region)
        compiled = compile_all(region, on, processors=processors)
        plans = {p.schema_id: p for p in compiled if p.digest in approved}
        return cls(region, plans, keys, load_registry(), processors)

    def minimise(self, raw: RawEvent) -> Crossing:
        """Return what may leave of one raw record.

        Raises:
            QuarantineError: It cannot be decided: see `schemas.errors.Reason`.

        """
        if len(raw.value) > MAX_VALUE_BYTES:
            raise QuarantineError(Reason.OVERSIZE)
        schema, values = decode_physical(self._registry, raw.value)
        if raw.at.topic != topics.raw(self.region, schema.domain):
            raise QuarantineError(Reason.WRONG_TOPIC)
        plan = self.plans.get(schema.id)
        if plan is None:
            raise QuarantineError(Reason.NO_APPROVED_PLAN)
        self._check_residence(values)
        event = ClassifiedEvent(raw, schema.id, values)
        tokeniser = self._tokenisers[plan.destination]
        return Crossing(plan, strip(event, plan, tokeniser, self._registry, self._processors))

    def _check_residence(self, values: Mapping[str, object]) -> None:
        country, subdivision = look_up(values, COUNTRY), look_up(values, SUBDIVISION)
        served = region_of(country or "", subdivision, self._regions)
        if served is None:
            raise QuarantineError(Reason.UNKNOWN_JURISDICTION, COUNTRY)
        if served[1] != self.region:
            raise QuarantineError(Reason.WRONG_REGION, COUNTRY)
