"""What is wrong with a contract whatever the policy says: against the schemas, and in itself."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from residency.contracts.model import EXTERNAL_ID, Contract, Erasure, FieldSource, Output
from residency.generalise import generaliser
from residency.plan.model import FieldPlan, LabelPlan, OutputPlan, Plan, leaf_path
from schemas.registry import CLEARED, DELETED, EventSchema, Registry

ALWAYS_SENT = frozenset({EXTERNAL_ID, "Base_Version__c", CLEARED, DELETED})


def contract_problems(contract: Contract, registry: Registry) -> list[str]:
    """Return every problem, in the order of the contract, each with its place.

    Looked for: events that no schema describes, mappings that match nothing in any version
    of the event's schema (those that refuse are named by the compiler), rows of one object
    that are named by different identities, parents that nothing writes, labels of rows that
    their event does not write, and rows of which nobody says what becomes of them at an erasure.
    """
    check = _Check(contract, registry)
    found = (
        *check.events(),
        *check.mappings(),
        *check.identities(),
        *check.labels(),
        *check.erasures(),
    )
    return list(dict.fromkeys(found))


def unmet_problems(
    contract: Contract, plans: Iterable[Plan], failing: Collection[str] = ()
) -> list[str]:
    """Return every mapping, or path beside a value, that no plan carries out, with its place.

    A region may omit what another one sends, and keep what another one generalises, so the
    plans of all regions are asked.

    Args:
        contract: What was compiled.
        plans: Of all regions and versions.
        failing: Events some of whose plans could not be made: they have told what to mend.

    """
    compiled: set[str] = set()
    made: dict[tuple[str, str, str], list[FieldPlan | LabelPlan]] = {}
    for plan in plans:
        compiled.add(plan.subject)
        for output in plan.outputs:
            for name, one in _named(output):
                made.setdefault((plan.subject, output.object, name), []).append(one)
    return [
        _line(output.place(name), f"{event}: {name}: {text}")
        for event, outputs in contract.outputs.items()
        if event in compiled and event not in failing
        for output in outputs
        for name, source in output.fields.items()
        for text in _unmet(source, made.get((event, output.object, name), ()))
    ]


def _named(output: OutputPlan) -> Iterator[tuple[str, FieldPlan | LabelPlan]]:
    yield from ((field.name, field) for field in output.fields)
    yield from ((label.field, label) for label in output.labels)


def _unmet(source: FieldSource, made: Iterable[FieldPlan | LabelPlan]) -> Iterator[str]:
    if not made:
        yield "every region omits it; remove it, or have the policy give it somewhere"
        return
    ways = {one.how for one in made if isinstance(one, FieldPlan) and one.how is not None}
    read = {need for how in ways for need in generaliser(how).needs}
    for need, path in (("country", source.country), ("at", source.at)):
        if path is not None and need not in read:
            yield f"nothing reads {need} = {path!r}; remove it"


class _Check:
    def __init__(self, contract: Contract, registry: Registry) -> None:
        self._contract = contract
        self._registry = registry
        self._versions: dict[str, list[EventSchema]] = {}
        for schema in registry.raw():
            self._versions.setdefault(schema.subject, []).append(schema)

    def _outputs(self) -> Iterator[tuple[str, Output]]:
        for event, outputs in self._contract.outputs.items():
            for output in outputs:
                yield event, output

    def events(self) -> Iterator[str]:
        """Yield the events that no schema describes."""
        for event in (*self._contract.outputs, *self._contract.nothing):
            if event not in self._versions:
                text = f"{event}: no schema describes this event; mend its name, or add its schema"
                yield _line(self._contract.places.get(event), text)

    def mappings(self) -> Iterator[str]:
        """Yield the mappings that no version of their event's schema could ever carry out."""
        for event, output in self._outputs():
            versions = self._versions.get(event, [])
            for name, source in output.sources.items():
                for path in _unmatched(source, versions):
                    text = f"{event}: {name}: {path!r} is in no version of the schema"
                    yield _line(output.place(name), f"{text}; mend the path, or remove the mapping")

    def labels(self) -> Iterator[str]:
        """Yield the labels of rows that their event does not write, or deletes.

        Labels are sent by an upsert: of a row that is not there they would make one.
        """
        for event, output in self._outputs():
            rows = self._contract.outputs[event]
            same = [o for o in rows if o.kind == "base" and o.object == output.object]
            if output.kind == "labels" and not any(not one.deletes for one in same):
                text = f"{event} writes no row of {output.object} for labels to follow"
                yield _line(output.place(""), f"{text}; add an [[output]], or remove the labels")

    def identities(self) -> Iterator[str]:
        """Yield the rows that could be named in two ways, and parents that are named in another."""
        names: dict[str, tuple[str, str | None]] = {}
        for _, output in self._outputs():
            identity = output.external_id.identity or ""
            named, place = names.setdefault(output.object, (identity, output.place(EXTERNAL_ID)))
            if named != identity:
                text = f"rows of {output.object} are named by identity {identity!r} here, and by"
                text = f"{text} {named!r} at {place}; one row would become two"
                yield _line(output.place(EXTERNAL_ID), text)
        for event, output in self._outputs():
            for name, source in output.fields.items():
                if source.parent is not None:
                    for text in _orphaned(source, source.parent, names):
                        yield _line(output.place(name), f"{event}: {name}: {text}")

    def erasures(self) -> Iterator[str]:
        """Yield the objects whose rows an erasure would leave as they are, and what cannot be."""
        written: dict[str, Output] = {}
        labelled: set[str] = set()
        for _, output in self._outputs():
            written.setdefault(output.object, output)
            labelled |= {output.object} if output.kind == "labels" else set()
        for name, output in written.items():
            if name not in self._contract.erasures:
                text = f"{name}: nothing says what becomes of its rows when their person is erased"
                yield _line(output.place(""), f"{text}; add an [[erasure]]")
        for name, erasure in self._contract.erasures.items():
            if name not in written:
                yield _line(erasure.place(), f"{name}: no [[output]] writes it; remove [[erasure]]")
                continue
            for field, text in _unerasable(
                erasure, self._fields(name), has_labels=name in labelled
            ):
                yield _line(erasure.place(field), f"{name}: {text}")

    def _fields(self, sobject: str) -> frozenset[str]:
        """Return the fields of an object's rows that an erasure may name."""
        try:
            schema = self._registry.minimal(sobject, "base")
        except KeyError:
            return frozenset()
        return frozenset(row["name"] for row in schema.avro["fields"]) - ALWAYS_SENT


def _unerasable(
    erasure: Erasure, fields: frozenset[str], *, has_labels: bool
) -> Iterator[tuple[str, str]]:
    """Yield what of *erasure* cannot be carried out: the field, and why."""
    if has_labels and not erasure.deletes:
        yield "", "labels cannot be emptied, so its rows must go: make the action delete"
    if erasure.deletes and (erasure.keep or erasure.fields):
        yield "", "a row that is deleted keeps no field; remove them"
    for name in (*erasure.keep, *erasure.fields):
        if name not in fields:
            yield name, f"{name}: the minimal schema has no such field to keep or set; remove it"
    for name, source in erasure.fields.items():
        if source.constant is None:
            yield name, f"{name}: an erasure sets constants alone"
        if name in erasure.keep:
            yield name, f"{name}: kept and set; choose one"


def _unmatched(source: FieldSource, versions: list[EventSchema]) -> Iterator[str]:
    """Yield the paths of *source* that are in none of *versions*."""
    if not versions or (source.otherwise == "refuse" and not source.beside):
        return  # no schema at all is another problem, and the compiler names what it refuses
    leaves = {leaf.path for schema in versions for leaf in schema.leaves}
    wanted = source.paths if source.otherwise == "omit" else source.beside
    for path in wanted:
        found = leaf_path(path)
        is_array = any(leaf.startswith(f"{found}[]") for leaf in leaves)
        if not (is_array if path == source.count else found in leaves):
            yield path


def _orphaned(
    source: FieldSource, parent: str, names: Mapping[str, tuple[str, str | None]]
) -> Iterator[str]:
    if parent not in names:
        yield f"its parent {parent} has no rows: no [[output]] writes them"
    elif names[parent][0] != source.identity:
        named, place = names[parent]
        yield (
            f"it names rows of {parent} by identity {source.identity!r}, and they are named by"
            f" {named!r} at {place}"
        )


def _line(place: str | None, text: str) -> str:
    return f"{place}: {text}" if place else text
