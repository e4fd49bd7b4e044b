"""Compile contract and policy for one schema into a plan, or say everything that is wrong."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from residency.contracts.model import EXTERNAL_ID, SUBJECT, Contract, FieldSource, Output
from residency.normalise import NORMALISER
from residency.plan.erasing import plan_erasure
from residency.plan.faults import Fault, PlanError
from residency.plan.fields import (
    Decided,
    Shortfall,
    Target,
    make_field,
    make_text,
    rests_on,
)
from residency.plan.kinds import kind_of
from residency.plan.model import FieldPlan, LabelPlan, LeafDecision, OutputPlan, Plan
from residency.plan.processors import NO_PROCESSORS, Processors, refer
from residency.plan.tasks import NO_TASKS, Tasks, make_label, text_field
from residency.policy.destinations import Destination
from residency.policy.limits import Limits
from residency.policy.packs import load_limits
from residency.policy.rules import Decision, Rule, decide
from schemas.registry import CLEARED, DELETED, EventSchema, Leaf, Registry

_TECHNICAL = frozenset({EXTERNAL_ID, CLEARED, DELETED})


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a region's plans are compiled from besides schema and contract."""

    region: str
    rules: tuple[Rule, ...]
    destination: Destination
    on: date
    limits: Limits = dataclasses.field(default_factory=load_limits)  # if forgotten, they hold


def compile_plan(  # noqa: PLR0913, PLR0917
    schema: EventSchema,
    contract: Contract,
    policy: Policy,
    registry: Registry,
    processors: Processors = NO_PROCESSORS,
    tasks: Tasks = NO_TASKS,
) -> Plan:
    """Return the plan for *schema* in one region.

    Raises:
        PlanError: The contract asks for more than the policy gives, maps what does not
            exist or does not fit, or nobody decided about this event at all.

    """
    return _Compiler(schema, contract, policy, registry, processors, tasks).plan()


class _Compiler:
    def __init__(  # noqa: PLR0913, PLR0917
        self,
        schema: EventSchema,
        contract: Contract,
        policy: Policy,
        registry: Registry,
        processors: Processors,
        tasks: Tasks,
    ) -> None:
        self._schema = schema
        self._contract = contract
        self._policy = policy
        self._registry = registry
        self._processors = processors
        self._tasks = tasks
        self._decided = {leaf.path: Decided(leaf, self._decide(leaf)) for leaf in schema.leaves}
        self._faults: list[Fault] = []

    def plan(self) -> Plan:
        subject, policy = self._schema.subject, self._policy
        if not self._contract.knows(subject):
            self._fault(None, None, "no contract; add an [[output]] or a [[nothing]] block")
        made = (
            self._output(o) if o.kind == "base" else self._labelled(o)
            for o in self._contract.outputs.get(subject, ())
        )
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
        schema = self._minimal(output)
        if schema is None:
            return None
        targets = _targets(schema)
        if not {CLEARED, DELETED} <= targets.keys():
            text = f"the minimal schema of {output.object} has no {CLEARED} or no {DELETED}"
            self._fault(output, None, text)
            return None
        external = self._key(output, EXTERNAL_ID, output.external_id, targets)
        if output.deletes:
            for name in output.fields:
                self._fault(output, name, "a row that is deleted has no fields; remove it")
        fields = [self._field(name, output, s, targets) for name, s in output.fields.items()]
        made = sorted((f for f in fields if f is not None), key=lambda f: f.name)
        names = [f.name for f in made]
        refs, problems = refer(output.processors, output.object, names, self._processors)
        for problem in problems:
            self._fault(output, "processors", problem)
        return OutputPlan(
            output.object,
            schema.id,
            external,
            tuple(made),
            self._basis((external, *made)),
            output.deletes,
            refs,
            erasure=plan_erasure(self._contract.erasures.get(output.object), targets),
            hard=output.hard or None,
        )

    def _labelled(self, output: Output) -> OutputPlan | None:
        """Return the plan of a request for labels; None if the policy gives none of its texts."""
        schema = self._minimal(output)
        try:
            request = self._registry.request(output.object)
        except KeyError:
            missing = f"there is no request schema of {output.object}; add it under avro/requests/"
            self._fault(output, None, missing)
            return None
        if schema is None or output.subject is None:
            return None
        wanted, targets = _targets(request), _targets(schema)
        external = self._key(output, EXTERNAL_ID, output.external_id, wanted)
        subject = self._key(output, SUBJECT, output.subject, wanted)
        texts: dict[str, FieldPlan] = {}
        labels: list[LabelPlan] = []
        for name, source in sorted(output.fields.items()):
            label = self._label(name, output, source, targets)
            text = self._text(name, output, source, wanted)
            if label is None or text is None:
                continue
            if texts.setdefault(text.name, text).path != text.path:
                self._fault(output, name, f"{text.path} and another path are both {text.name}")
            labels.append(label)
        if not labels:
            return None
        read = tuple(texts[name] for name in sorted(texts))
        return OutputPlan(
            output.object,
            request.id,
            external,
            (subject, *read),
            self._basis((external, *read)),  # the subject's token does not leave
            labels=tuple(labels),
            label_schema_id=schema.id,
        )

    def _minimal(self, output: Output) -> EventSchema | None:
        try:
            return self._registry.minimal(output.object, output.kind)
        except KeyError:
            what = "minimal schema" if output.kind == "base" else "minimal schema for labels"
            text = f"there is no {what} of {output.object}; add it under avro/minimal/"
            self._fault(output, None, text)
            return None

    def _key(
        self, output: Output, name: str, source: FieldSource, targets: Mapping[str, Any]
    ) -> FieldPlan:
        """Return the plan of an identity; of anything else, for want of one, that of nothing."""
        made = self._field(name, output, source, targets)
        if made is None or not made.identity:
            self._fault(output, name, "needs a path with an identity")
            return FieldPlan(name, "string", "clear")
        return made

    def _basis(self, fields: Sequence[FieldPlan]) -> tuple[str, ...]:
        """Return the transfer bases of everything that *fields* tell something of."""
        found = {
            base
            for field in fields
            for one in rests_on(field, self._decided)
            for rule in one.decision.rules
            for base in [rule.basis]
            if base is not None
        }
        return tuple(sorted(found))

    def _label(
        self, name: str, output: Output, source: FieldSource, targets: Mapping[str, Any]
    ) -> LabelPlan | None:
        if name not in targets or kind_of(targets[name]["type"]) != "string" or name in _TECHNICAL:
            text = "the minimal schema for labels has no such text; add it there"
            self._fault(output, name, text)
            return None
        made = make_label(name, source, text_field(source.path or ""), self._tasks)
        if isinstance(made, str):
            self._fault(output, name, made)
            return None
        return made

    def _text(
        self, name: str, output: Output, source: FieldSource, wanted: Mapping[str, Any]
    ) -> FieldPlan | None:
        field = text_field(source.path or "")
        if field not in wanted or wanted[field]["type"] != ["null", "string"]:
            text = f"the request schema of {output.object} has no nullable string {field}"
            self._fault(output, name, f"{text}; add it there")
            return None
        made = make_text(Target.read(wanted[field]), source.path or "", self._decided)
        return self._given(name, output, source, made)

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
        return self._given(
            name, output, source, make_field(Target.read(target), source, self._decided)
        )

    def _given(
        self, name: str, output: Output, source: FieldSource, made: FieldPlan | str
    ) -> FieldPlan | None:
        """Return what was made, if it was; say why not, unless the contract passes over it."""
        if isinstance(made, str):
            if source.otherwise == "refuse" or not isinstance(made, Shortfall):
                self._fault(output, name, made)
            return None
        return made


def _targets(schema: EventSchema) -> Mapping[str, Any]:
    """Return the fields of a schema of ours, by name."""
    return {field["name"]: field for field in schema.avro["fields"]}


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
