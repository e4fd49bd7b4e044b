"""Compile contract and policy for one schema into a plan, or say everything that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from residency.contracts.model import Contract, FieldSource, Output
from residency.normalise import NORMALISER
from residency.plan.fields import Decided, Target, make_field
from residency.plan.model import FieldPlan, LeafDecision, OutputPlan, Plan, leaf_path
from residency.policy.packs import Certification, Destination
from residency.policy.rules import Action, Decision, Rule, decide
from schemas.errors import SetupError
from schemas.registry import EventSchema, Leaf, Registry


class PlanError(SetupError):
    """The contract cannot be met under the policy.

    Attributes:
        problems: All of them, each with event, field and next step.

    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Join the problems into one text."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a region's plans are compiled from besides schema and contract."""

    region: str
    rules: tuple[Rule, ...]
    destination: Destination
    on: date


def compile_plan(
    schema: EventSchema, contract: Contract, policy: Policy, registry: Registry
) -> Plan:
    """Return the plan for *schema* in one region.

    Raises:
        PlanError: The contract asks for more than the policy gives, maps what does not
            exist or does not fit, or nobody decided about this event at all.

    """
    return _Compiler(schema, contract, policy, registry).plan()


class _Compiler:
    def __init__(
        self, schema: EventSchema, contract: Contract, policy: Policy, registry: Registry
    ) -> None:
        self._schema = schema
        self._contract = contract
        self._policy = policy
        self._registry = registry
        self._decided = {leaf.path: Decided(leaf, self._decide(leaf)) for leaf in schema.leaves}
        self._problems: list[str] = []

    def plan(self) -> Plan:
        subject, policy = self._schema.subject, self._policy
        if not self._contract.knows(subject):
            raise PlanError([f"{subject}: no contract; add an [[output]] or a [[nothing]] block"])
        outputs = tuple(self._output(o) for o in self._contract.outputs.get(subject, ()))
        if self._problems:
            raise PlanError(self._problems)
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
        decision = decide(policy.rules, leaf.category, policy.destination.id, policy.on)
        held = {certificate.scheme for certificate in self._certificates()}
        lacking = any(r.requires is not None and r.requires not in held for r in decision.rules)
        return Decision(Action.DROP, None, decision.rules) if lacking else decision

    def _expiries(self, outputs: Sequence[OutputPlan]) -> Iterator[date]:
        decided = [
            self._decided[leaf_path(field.path)]
            for output in outputs
            for field in (output.external_id, *output.fields)
            if field.action is not None and field.path is not None
        ]
        used = {rule for one in decided for rule in one.decision.rules}
        policy = self._policy
        yield from (rule.valid_to for rule in used if rule.valid_to is not None)
        for scheme in {rule.requires for rule in used}:
            held = [c.valid_to for c in self._certificates() if c.scheme == scheme]
            yield from [max(held)] if held else []  # a renewal is a new row beside the old one
        # A rule that comes into force later may be stricter: compile and approve again then.
        yield from (
            rule.valid_from - timedelta(days=1)
            for rule in policy.rules
            if rule.destination == policy.destination.id
            and rule.valid_from > policy.on
            and any(rule.covers(one.leaf.category) for one in decided)
        )

    def _certificates(self) -> list[Certification]:
        """Return the destination's certificates in force on the policy's day."""
        policy = self._policy
        return [
            c for c in policy.destination.certifications if c.valid_from <= policy.on <= c.valid_to
        ]

    def _output(self, output: Output) -> OutputPlan:
        minimal = self._registry.minimal(output.object)
        targets = {field["name"]: field for field in minimal.avro["fields"]}
        external = self._field("External_Id__c", output.external_id, targets)
        if output.deletes and output.fields:
            self._fault(", ".join(output.fields), "a row that is deleted has no fields")
        fields = [self._field(name, source, targets) for name, source in output.fields.items()]
        if external is None or not external.identity:
            self._fault("External_Id__c", "needs a path with an identity")
            external = FieldPlan("External_Id__c", "string", "clear")
        made = sorted((f for f in fields if f is not None), key=lambda f: f.name)
        basis = {
            base
            for field in (external, *made)
            if field.action is not None and field.path is not None
            for rule in self._decided[leaf_path(field.path)].decision.rules
            for base in [rule.basis]
            if base is not None
        }
        return OutputPlan(
            output.object, minimal.id, external, tuple(made), tuple(sorted(basis)), output.deletes
        )

    def _fault(self, name: str, problem: str) -> None:
        where = f"{self._schema.subject} v{self._schema.version} in {self._policy.region}"
        self._problems.append(f"{where}: {name}: {problem}")

    def _field(
        self, name: str, source: FieldSource, targets: Mapping[str, Any]
    ) -> FieldPlan | None:
        target = targets.get(name)
        if target is None:
            self._fault(name, "the minimal schema has no such field; add it there first")
            return None
        made = make_field(Target.read(target), source, self._decided)
        if isinstance(made, str):
            if source.otherwise == "refuse":
                self._fault(name, made)
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
