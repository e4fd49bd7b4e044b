"""How long egress takes from a broken promise to its stop, and what it sends meanwhile.

On the real line: broker, database, test org, border; egress runs in this process, so that the
bench can plant faults and see each request. Two kinds of cause:

* egress finds it itself: the clock starts when it takes the batch that holds the violation in
  hand. All records of that batch are violations; those that reach the org are counted there.
* another process finds it and halts the region: the clock starts when it does, while egress sends
  as fast as it can. Violations are requests that begin after the halt is on disk.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import orjson

sys.path.append(str(Path(__file__).parents[1] / "support"))

from common import machine, percentiles, run, say
from halted_line import REGION, HaltedLine, running, until

from connectors.salesforce.access import Access
from residency.gate.check import Gate
from schemas.errors import BreachError, Cause, HomeportError
from schemas.events import LoggedRecord
from streams import carrier, outfit
from streams.carrier import Carrier
from streams.switch import Switch

WARM_UP = 40  # events that fly before the first fault
BATCH = 40  # events that egress has in hand when it meets the violation
LOAD = 400  # events under way when somebody else halts it
SMALL = 10  # rows in a request under load, so that there are many
WRITES = frozenset({"POST", "PATCH", "DELETE"})
MS = 1e3


@dataclass
class Watch:
    """What one round sees, in seconds of `time.perf_counter`."""

    taken: list[float] = field(default_factory=list)  # a batch in hand
    durable: list[float] = field(default_factory=list)  # a halt is on disk
    begun: list[float] = field(default_factory=list)  # requests that write

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch each egress of this process during the block."""
        begun, taken, durable = self.begun, self.taken, self.durable
        carry, halt = Carrier.carry, Switch.halt

        class Timed(Access):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                send = self.session.send

                def timed(request: Any, **more: Any) -> Any:
                    if request.method in WRITES and "/services/data/" in request.url:
                        begun.append(time.perf_counter())
                    return send(request, **more)

                self.session.send = timed  # type: ignore[method-assign]

        def timed_carry(self: Carrier, batch: Any) -> Any:
            taken.append(time.perf_counter())
            return carry(self, batch)

        def timed_halt(self: Switch, *args: Any, **kwargs: Any) -> Any:
            found = halt(self, *args, **kwargs)
            durable.append(time.perf_counter())
            return found

        with ExitStack() as stack:
            stack.enter_context(patch.object(outfit, "Access", Timed))
            stack.enter_context(patch.object(Carrier, "carry", timed_carry))
            stack.enter_context(patch.object(Switch, "halt", timed_halt))
            yield


@dataclass(frozen=True)
class Round:
    """One halt.

    Attributes:
        durable_s: From the cause until the halt is on disk.
        stopped_s: From the cause until egress has let go of org and ledger.
        violations: How many were sent.

    """

    durable_s: float
    stopped_s: float
    violations: int


def gate_without(part: str) -> Callable[[], Any]:
    """Return what makes egress load a gate that lacks *part*."""

    def plant() -> Any:
        gate = Gate.load(REGION, outfit.APPROVED_FILE)
        setattr(gate, part, {})
        return patch.object(outfit.Gate, "load", lambda *_: gate)

    return plant


def unlogged() -> Any:
    """Return what makes egress send without having logged."""

    def made_up(ledger: Any, drafts: Sequence[Any], **_: Any) -> list[LoggedRecord]:
        size = ledger.size
        return [LoggedRecord(d.record, size + n, d.fields) for n, d in enumerate(drafts)]

    return patch.object(carrier, "log_transfers", made_up)


FOUND_BY_EGRESS: Mapping[str, Callable[[], Any]] = {
    "gate": gate_without("_grammar"),
    "plan": gate_without("_approved"),
    "unlogged": unlogged,
}
FOUND_BY_OTHERS: Mapping[str, Cause] = {"verify": Cause.LEDGER, "reconcile": Cause.RECONCILE}


def own(line: HaltedLine, plant: Callable[[], Any]) -> Round:
    """Have egress meet a batch of violations."""
    watch, before = Watch(), line.rows()
    line.publish(BATCH)
    with watch.on(), plant(), line.egress():
        until("the halt", lambda: line.switch.halted() is not None and line.is_unlocked())
        stopped = time.perf_counter()
        sent = sum(1 for key, row in line.rows().items() if before.get(key) != row)
    started = max(at for at in watch.taken if at < watch.durable[0])
    return Round(watch.durable[0] - started, max(stopped, watch.durable[0]) - started, sent)


def foreign(line: HaltedLine, by: Any, cause: Cause) -> Round:
    """Halt the region from outside while egress sends."""
    config = line.settings.salesforce
    if config is None:
        msg = "egress has no org"
        raise HomeportError(msg)
    sink = replace(config.sink, retry=replace(config.sink.retry, sizes=(SMALL, 1)), max_bytes=6_000)
    watch = Watch()
    line.publish(LOAD)
    with watch.on(), line.egress(salesforce=replace(config, sink=sink)):
        until("some requests", lambda: len(watch.begun) > 2)
        started = time.perf_counter()
        line.switch.halt(BreachError("a bench", cause), by)
        durable = watch.durable[0]
        while not line.is_unlocked():
            time.sleep(0.001)
        stopped = time.perf_counter()
    return Round(durable - started, stopped - started, sum(at > durable for at in watch.begun))


def measure(rounds: int) -> dict[str, Any]:
    """Return the documented object of ``--json``."""
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as place:
        say("starting ...")
        with running(Path(place)) as line:
            line.publish(WARM_UP)
            flown(line)
            found = {}
            for name, plant in FOUND_BY_EGRESS.items():
                say(f"{name} ...")
                found[name] = [resumed(line, own(line, plant)) for _ in range(rounds)]
            for name, cause in FOUND_BY_OTHERS.items():
                say(f"{name} ...")
                found[name] = [resumed(line, foreign(line, name, cause)) for _ in range(rounds)]
            say("stopping ...")
    return {
        "rounds": rounds,
        "causes": {name: told(done) for name, done in found.items()},
        "machine": machine(),
    }


def resumed(line: HaltedLine, done: Round) -> Round:
    """Return *done*, once everything that was held back has flown."""
    line.resume()
    flown(line)
    return done


def flown(line: HaltedLine) -> None:
    """Run egress until the org holds what it is to hold."""
    with line.egress():
        line.settled()


def told(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return a cause's figures, in ms."""
    return {
        "violations_sent": sum(one.violations for one in rounds),
        "durable_ms": percentiles([one.durable_s for one in rounds], MS),
        "stopped_ms": percentiles([one.stopped_s for one in rounds], MS),
    }


def show(found: Mapping[str, Any]) -> None:
    """Print the report as a table."""
    where = found["machine"]
    load = f"{where['cores']} x {where['cpu']}, load {where['load_1m']}"
    click.echo(f"{found['rounds']} halts each; {load}\n")
    click.echo(f"{'cause':<12}{'sent':>6}{'on disk ms':>14}{'max':>9}{'let go ms':>14}{'max':>9}")
    for name, row in found["causes"].items():
        durable, stopped = row["durable_ms"], row["stopped_ms"]
        click.echo(
            f"{name:<12}{row['violations_sent']:>6}{durable['p50']:>14.1f}{durable['max']:>9.1f}"
            f"{stopped['p50']:>14.1f}{stopped['max']:>9.1f}"
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(rounds: int, *, as_json: bool) -> None:
    """Measure milliseconds from a broken promise to the stop of egress, and what was sent.

    Starts broker, database, test org and border in a temporary home, breaks each promise in turn
    and resumes. On disk: until the halt would survive a crash. Let go: until egress holds neither
    ledger nor org any more, requests under way included.

    Exit codes: 0 measured, 1 a violation was sent, 3 something could not start.
    """
    found = measure(rounds)
    if as_json:
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        show(found)
    if any(row["violations_sent"] for row in found["causes"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    run(bench)
