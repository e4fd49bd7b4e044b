"""Compile contract and policy for one schema into a plan, or say everything that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from residency.contracts.model import Contract, FieldSource, Output
from residency.generalise import GENERALISERS
from residency.plan.kinds import kind_of
from residency.plan.model import FieldPlan, LeafDecision, OutputPlan, Plan, leaf_path, parse_path
from residency.plan.processors import NO_PROCESSORS, Processors, refer
from residency.policy.packs import Certification, Destination
from residency.policy.rules import Action, Decision, Rule, decide
from residency.tokens import NORMALISER
from schemas.errors import SetupError
from schemas.registry import EventSchema, Leaf, Registry

KEEPS_AS = {
    "string": "string",
    "enum": "string",
    "long": "long",
    "boolean": "boolean",
    "decimal": "decimal",
    "timestamp-millis": "timestamp-millis",
}


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
        self._leaves = {leaf.path: leaf for leaf in schema.leaves}
        self._decisions = {leaf.path: self._decide(leaf) for leaf in schema.leaves}
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
            decisions=tuple(
                _told(leaf, self._decisions[leaf.path]) for leaf in self._schema.leaves
            ),
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
        leaves = [
            self._leaves[leaf_path(field.path)]
            for output in outputs
            for field in (output.external_id, *output.fields)
            if field.action is not None and field.path is not None
        ]
        used = {rule for leaf in leaves for rule in self._decisions[leaf.path].rules}
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
            and any(rule.covers(leaf.category) for leaf in leaves)
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
        fields = [self._field(name, source, targets) for name, source in output.fields.items()]
        if external is None or not external.identity:
            self._fault("External_Id__c", "needs a path with an identity")
            external = FieldPlan("External_Id__c", "string", "clear")
        made = sorted((f for f in fields if f is not None), key=lambda f: f.name)
        basis = {
            base
            for field in (external, *made)
            if field.action is not None and field.path is not None
            for rule in self._decisions[leaf_path(field.path)].rules
            for base in [rule.basis]
            if base is not None
        }
        names = [f.name for f in made]
        refs, problems = refer(output.processors, output.object, names, self._processors)
        for problem in problems:
            self._fault("processors", problem)
        return OutputPlan(
            output.object, minimal.id, external, tuple(made), tuple(sorted(basis)), processors=refs
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
        to = kind_of(target["type"])
        limits = target.get("homeport.range")
        made = self._make(name, source, to, (limits[0], limits[1]) if limits else None)
        if isinstance(made, str):
            if source.otherwise == "refuse":
                self._fault(name, made)
            return None
        return made

    def _make(
        self, name: str, source: FieldSource, to: str, limits: tuple[int, int] | None
    ) -> FieldPlan | str:
        """Return the field's plan, or the problem."""
        if source.constant is not None:
            fits = to == "string"
            return FieldPlan(name, to, "constant", value=source.constant) if fits else _misfit(to)
        if source.region:
            return FieldPlan(name, to, "region") if to == "string" else _misfit(to)
        if source.clear:
            return FieldPlan(name, to, "clear")
        if source.count is not None:
            known = any(path.startswith(source.count + "[]") for path in self._leaves)
            if not known:
                return f"the schema has no array {source.count!r}"
            fits = to == "long"
            made = FieldPlan(name, to, "count", path=source.count, range=limits)
            return made if fits else _misfit(to)
        return self._from_path(name, source, to, limits)

    def _from_path(
        self, name: str, source: FieldSource, to: str, limits: tuple[int, int] | None
    ) -> FieldPlan | str:
        path = source.path or ""
        parse_path(path)
        leaf = self._leaves.get(leaf_path(path))
        if leaf is None or (source.country and leaf_path(source.country) not in self._leaves):
            return f"the schema has no leaf {path if leaf is None else source.country!r}"
        decision, kind = self._decisions[leaf.path], kind_of(leaf.avro)
        made = FieldPlan(
            name, to, "path", path, action=decision.action, country=source.country, range=limits
        )
        match decision.action:
            case Action.DROP | Action.LABEL:
                rules = ", ".join(r.id for r in decision.rules) or "no rule"
                return f"the policy gives {decision.action} for {path} ({rules})"
            case Action.TOKENISE:
                return self._tokenised(made, leaf, source.identity, kind)
            case Action.GENERALISE:
                return _generalised(made, decision.how or "", kind)
            case Action.KEEP:
                return _kept(made, leaf, source.identity, kind)

    def _tokenised(
        self, made: FieldPlan, leaf: Leaf, identity: str | None, kind: str
    ) -> FieldPlan | str:
        if made.to != "string" or kind != "string":
            return f"a token is made of text and is text; {leaf.path} is {kind}, {_misfit(made.to)}"
        return replace(made, identity=identity is not None, domain=identity or leaf.category)


def _misfit(to: str) -> str:
    return f"the minimal field is {to}"


def _generalised(made: FieldPlan, how: str, kind: str) -> FieldPlan | str:
    generaliser = GENERALISERS[how]
    if kind not in generaliser.takes or generaliser.output != made.to:
        return f"{how} makes {generaliser.output} of {'/'.join(generaliser.takes)}, not {made.to}"
    return replace(made, how=how)


def _kept(made: FieldPlan, leaf: Leaf, identity: str | None, kind: str) -> FieldPlan | str:
    if identity is not None:
        return f"the policy keeps {leaf.path}, so it cannot be an identity token"
    if KEEPS_AS.get(kind) != made.to:
        return f"{leaf.path} is {kind}, {_misfit(made.to)}"
    if kind == "string" and leaf.pattern is None:
        return f"{leaf.path} is kept text without a homeport.pattern; free text may not leave"
    return replace(made, pattern=leaf.pattern)


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
