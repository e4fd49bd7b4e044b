"""Compile contract and policy for one schema into a plan, or say everything that is wrong."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from residency.contracts.model import Contract, FieldSource, Output
from residency.normalise import NORMALISER
from residency.plan.faults import Fault, PlanError
from residency.plan.fields import Decided, Shortfall, Target, make_field, rests_on
from residency.plan.model import FieldPlan, LeafDecision, OutputPlan, Plan
from residency.plan.processors import NO_PROCESSORS, Processors, refer
from residency.policy.destinations import Destination
from residency.policy.limits import Limits
from residency.policy.packs import load_limits
from residency.policy.rules import Decision, Rule, decide
from schemas.registry import CLEARED, DELETED, EventSchema, Leaf, Registry


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a region's plans are compiled from besides schema and contract."""

    region: str
    rules: tuple[Rule, ...]
    destination: Destination
    on: date
    limits: Limits = dataclasses.field(default_factory=load_limits)  # if forgotten, they hold


def compile_plan(
    schema: EventSchema,
    contract: Contract,
    policy: Policy,
    registry: Registry,
    processors: Processors = NO_PROCESSORS,
) -> Plan:
    """Return the plan for *schema* in one region.

    Raises:
        PlanError: The contract asks for more than the policy gives, maps what does not
            exist or does not fit, or nobody decided about this event at all.

    """
    return _Compiler(schema, contract, policy, registry, processors).plan()


class _Compiler:
    def __init__(
        self,
        schema: EventSchema,
        contract: Contract,
        policy: Policy,
        registry: Registry,
        processors: Processors,
    ) -> None:
        self._schema = schema
        self._contract = contract
        self._policy = policy
        self._registry = registry
        self._processors = processors
        self._decided = {leaf.path: Decided(leaf, self._decide(leaf)) for leaf in schema.leaves}
        self._faults: list[Fault] = []

    def plan(self) -> Plan:
        subject, policy = self._schema.subject, self._policy
        if not self._contract.knows(subject):
            self._fault(None, None, "no contract; add an [[output]] or a [[nothing]] block")
        made = (self._output(o) for o in self._contract.outputs.get(subject, ()))
        outputs = tuple(output for output in made if output is not None)
        if self._faults:
            raise PlanError(self._faults)
        return Plan(
            region=policy.region,
            destination=policy.destination.id,
            subject=subject,
            schema_id=self._schema.id,
            schema_digest=self._schema.digest,
            normaliser=NORMALISER,
            decisions=tuple(_told(one.leaf, one.decision) for one in self._decided.values()),
            outputs=outputs,
            not_after=min(self._expiries(outputs), default=None),
        )

    def _decide(self, leaf: Leaf) -> Decision:
        policy = self._policy
        return decide(policy.rules, leaf.category, policy.destination, policy.on, policy.limits)

    def _expiries(self, outputs: Sequence[OutputPlan]) -> Iterator[date]:
        decided = [
            one
            for output in outputs
            for field in (output.external_id, *output.fields)
            for one in rests_on(field, self._decided)
        ]
        used = {rule for one in decided for rule in one.decision.rules}
        policy = self._policy
        # A rule's last day is here that of all it rests on: certificates, sets, overrides.
        yield from (rule.valid_to for rule in used if rule.valid_to is not None)
        # A rule that comes into force later may be stricter: compile and approve again then.
        yield from (
            rule.valid_from - timedelta(days=1)
            for rule in policy.rules
            if rule.destination == policy.destination.id
            and rule.valid_from > policy.on
            and any(rule.covers(one.leaf.category) for one in decided)
        )

    def _output(self, output: Output) -> OutputPlan | None:
        targets = self._targets(output)
        if targets is None:
            return None
        external = self._field("External_Id__c", output, output.external_id, targets)
        if external is None or not external.identity:
            self._fault(output, "External_Id__c", "needs a path with an identity")
            external = FieldPlan("External_Id__c", "string", "clear")
        if output.deletes:
            for name in output.fields:
                self._fault(output, name, "a row that is deleted has no fields; remove it")
        fields = [self._field(name, output, s, targets) for name, s in output.fields.items()]
        made = sorted((f for f in fields if f is not None), key=lambda f: f.name)
        basis = {
            base
            for field in (external, *made)
            for one in rests_on(field, self._decided)
            for rule in one.decision.rules
            for base in [rule.basis]
            if base is not None
        }
        names = [f.name for f in made]
        refs, problems = refer(output.processors, output.object, names, self._processors)
        for problem in problems:
            self._fault(output, "processors", problem)
        return OutputPlan(
            output.object,
            self._registry.minimal(output.object).id,
            external,
            tuple(made),
            tuple(sorted(basis)),
            output.deletes,
            refs,
        )

    def _targets(self, output: Output) -> Mapping[str, Any] | None:
        """Return the fields of the object's minimal schema, by name."""
        try:
            fields = self._registry.minimal(output.object).avro["fields"]
        except KeyError:
            text = f"there is no minimal schema of {output.object}; add it under avro/minimal/"
            self._fault(output, None, text)
            return None
        targets = {field["name"]: field for field in fields}
        if not {CLEARED, DELETED} <= targets.keys():
            text = f"the minimal schema of {output.object} has no {CLEARED} or no {DELETED}"
            self._fault(output, None, text)
            return None
        return targets

    def _fault(self, output: Output | None, name: str | None, text: str) -> None:
        schema = self._schema
        place = None if output is None else output.place(name or "")
        region = self._policy.region
        self._faults.append(Fault(place, schema.subject, schema.version, region, name, text))

    def _field(
        self, name: str, output: Output, source: FieldSource, targets: Mapping[str, Any]
    ) -> FieldPlan | None:
        target = targets.get(name)
        if target is None or name in {CLEARED, DELETED}:
            text = "the minimal schema has no such field; add it there first"
            self._fault(output, name, text)
            return None
        made = make_field(Target.read(target), source, self._decided)
        if isinstance(made, str):
            if source.otherwise == "refuse" or not isinstance(made, Shortfall):
                self._fault(output, name, made)
            return None
        return made


def _told(leaf: Leaf, decision: Decision) -> LeafDecision:
    return LeafDecision(
        leaf.path,
        leaf.category,
        decision.action,
        decision.how,
        tuple(r.id for r in decision.rules),
        tuple(dict.fromkeys(r.source for r in decision.rules)),
        tuple(sorted({r.basis for r in decision.rules if r.basis is not None})),
    )
