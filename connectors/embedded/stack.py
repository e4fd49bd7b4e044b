"""The embedded stack of one home: bring it up, look at it, take exactly it down."""

import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from connectors.embedded import broker, jars, kafka_admin, pki, postgres, postgres_admin, processes
from connectors.embedded import state as states
from connectors.embedded.broker import ADMIN, Broker
from connectors.embedded.files import exclusive, private_dir
from connectors.embedded.kafka_admin import Login
from connectors.embedded.launch import MODEL_READY_S, Launch, write_models
from connectors.embedded.ports import answers, choose
from connectors.embedded.postgres import SUPERUSER, Server
from connectors.embedded.processes import ProcessSpec
from connectors.embedded.services import Passwords, port_names, write_reconcile, write_services
from connectors.embedded.state import ProcessStatus, Wanted
from connectors.embedded.waiting import side_by_side, wait_until_ready
from residency.topics import PRINCIPALS
from schemas.errors import SetupError

Progress = Callable[[str, str], None]  # (step, state); called from several threads


def quiet(step: str, state: str) -> None:
    """Report nothing."""
    del step, state


class Stack:
    """The processes of one home.

    Args:
        home: Where all state lies.
        regions: The regions to start; `down` and `status` need none.

    """

    def __init__(self, home: Path, regions: Sequence[str] = ()) -> None:
        """Remember which; start nothing."""
        self.home = home.absolute()
        self.regions = tuple(regions)
        self._cancelled = threading.Event()
        self._ups = 0

    def up(self, launch: Launch, progress: Progress = quiet) -> bool:
        """Start what does not run yet, wait until all is ready, return whether anything started.

        Whatever interrupts it, it leaves nothing running that it started itself. What had halted
        starts again: a person decided.

        Raises:
            SetupError: Another `up` runs, other regions run, or something does not start or halts.

        """
        if not self.regions:
            msg = "no regions to start; name some with --regions"
            raise SetupError(msg)
        self._cancelled.clear()
        with self._locked():
            was_running = self._adopt(progress)
            if was_running and self._is_complete(launch):
                return False
            was_running = was_running and self._adopt(progress)  # it may be dying: look again
            before = states.read_wanted(self.home)
            self._ups = before.ups + 1
            try:
                self._start(launch, progress, is_running=was_running)
            except BaseException:
                self._cancelled.set()
                if was_running:
                    # the supervisor stops the rest; not an older count: it would start the halted
                    states.write_wanted(self.home, replace(before, ups=self._ups))
                else:
                    progress("stack", "stopping")
                    self._halt()
                raise
        return True

    def await_models(self, progress: Progress = quiet) -> None:
        """Wait until every model server answers that `up` left to start in the background.

        Raises:
            SetupError: One halted, keeps ending, or takes too long.

        """
        wanted = states.read_wanted(self.home)
        self._ups = wanted.ups
        specs = [spec for spec in wanted.processes if not spec.ready_s]
        self._all([partial(self._ready, spec, progress, MODEL_READY_S) for spec in specs])

    def down(self, progress: Progress = quiet) -> list[str]:
        """Stop what `up` started, leftovers of a crash included; return the names.

        Raises:
            SetupError: An `up` or `down` of this home runs.

        """
        if not self.home.is_dir():
            return []
        with self._locked():
            if states.alive(self.home):
                progress("stack", "stopping")
            return self._halt()

    def status(self) -> list[ProcessStatus]:
        """Return every process that should run, and the supervisor; empty when all is down."""
        return states.status(self.home)

    def is_running(self) -> bool:
        """Return whether the stack is up: its supervisor lives and nothing wanted is dead."""
        found = self.status()
        return bool(found) and all(process.state == "ready" for process in found)

    def _locked(self) -> AbstractContextManager[object]:
        busy = f"another `homeport up` or `down` works on {self.home}; wait for it to end"
        return exclusive(self.home / "up.lock", wait=False, busy=busy)

    def _adopt(self, progress: Progress) -> bool:
        """Return whether our supervisor runs already; clear away what a crash left."""
        wanted = states.read_wanted(self.home)
        if states.supervisor(self.home) is not None:
            if wanted.regions == self.regions:
                return True
            if wanted.is_complete:
                running = ",".join(wanted.regions)
                msg = f"the stack runs {running}; run `homeport down` before another set"
                raise SetupError(msg)
        leftovers = self._halt()
        if leftovers:
            progress("leftovers of a killed run", f"stopped {len(leftovers)}")
        return False

    def _is_complete(self, launch: Launch) -> bool:
        wanted = states.read_wanted(self.home)
        names = {spec.name for spec in wanted.processes}
        return (
            wanted.is_complete
            and {spec.name for spec in launch.specs(self.regions, wanted.ports)} <= names
            and self.is_running()
        )

    def _start(self, launch: Launch, progress: Progress, *, is_running: bool) -> None:
        progress("kafka jars", "checking")
        lib = jars.ensure_jars(progress=lambda done, n: progress("kafka jars", f"{done}/{n}"))
        progress("kafka jars", "ready")
        private_dir(self.home)
        wanted = states.read_wanted(self.home)
        ports = wanted.ports if is_running else self._ports(wanted.ports, progress)
        apps: Mapping[str, pki.App] = {}
        readers: Mapping[str, pki.App] = {}
        if launch.org is not None:
            pki.ensure_ca(self.home)
            pki.ensure_server_certificate(self.home)
            apps = {region: pki.ensure_app(self.home, region) for region in self.regions}
            readers = {r: pki.ensure_app(self.home, r, pki.RECONCILE) for r in self.regions}
            pki.write_apps(self.home, [*apps.values(), *readers.values()])
        models = write_models(self.home, self.regions, ports, launch.model)
        secrets = write_services(self.home, self.regions, ports, apps, models)
        if readers:
            write_reconcile(self.home, ports, apps, readers, secrets)
        if is_running:
            base = [spec for spec in wanted.processes if spec.stage == 0]
            kept = [spec for spec in wanted.processes if spec.stage > 1]  # they go on meanwhile
        else:
            # remembered before anything starts
            states.write_wanted(self.home, Wanted(self.regions, ports, ups=self._ups))
            kept = []
            base = self._prepare(lib, ports, secrets, progress)
        later = launch.specs(self.regions, ports)
        early = [spec for spec in later if spec.stage == 1]  # models take longest: they go first
        org = [spec for spec in early if spec.region is None]
        self._want([*base, *early, *(spec for spec in later if spec in kept)], ports)
        if not is_running:
            states.start_supervisor(self.home)
        tasks = [partial(self._region_up, r, ports, secrets[r], progress) for r in self.regions]
        tasks += [partial(self._ready, spec, progress) for spec in org]
        self._all(tasks)
        self._want([*base, *later], ports)
        rest = [spec for spec in later if spec not in org and spec.ready_s]
        self._all([partial(self._ready, spec, progress) for spec in rest])
        self._want([*base, *later], ports, is_complete=True)

    def _ports(self, remembered: Mapping[str, int], progress: Progress) -> dict[str, int]:
        ports, lost = choose(port_names(self.regions), remembered, random.SystemRandom())
        for name, port in lost.items():
            progress(f"port {port} of {name}", f"taken by another program: now {ports[name]}")
        return {**remembered, **ports}

    def _prepare(
        self,
        lib: Path,
        ports: Mapping[str, int],
        secrets: Mapping[str, Passwords],
        progress: Progress,
    ) -> list[ProcessSpec]:
        """Format storage where it is new and return the brokers' and databases' specs."""
        brokers = [
            Broker(
                region,
                self.home / region / "kafka",
                ports[f"{region}-kafka"],
                ports[f"{region}-kafka-controller"],
                secrets[region].kafka[ADMIN],
            )
            for region in self.regions
        ]
        servers = [
            Server(
                region,
                self.home / region / "postgres",
                ports[f"{region}-postgres"],
                secrets[region].postgres[SUPERUSER],
            )
            for region in self.regions
        ]
        progress("storage", "preparing")
        self._all(
            [
                *(partial(broker.prepare, item, lib) for item in brokers),
                *(
                    partial(postgres.prepare, item, partial(progress, "storage"))
                    for item in servers
                ),
            ]
        )
        progress("storage", "ready")
        return [
            *(broker.spec(item, lib) for item in brokers),
            *(postgres.spec(item) for item in servers),
        ]

    def _want(
        self, specs: Sequence[ProcessSpec], ports: Mapping[str, int], *, is_complete: bool = False
    ) -> None:
        states.write_wanted(
            self.home, Wanted(self.regions, ports, tuple(specs), is_complete, self._ups)
        )

    def _region_up(
        self, region: str, ports: Mapping[str, int], secret: Passwords, progress: Progress
    ) -> None:
        """Wait for the region's broker and database and give them what they must hold."""
        port = ports[f"{region}-postgres"]
        password = secret.postgres[SUPERUSER]
        progress(f"{region} postgres", "starting")
        self._until(f"{region}-postgres", partial(postgres_admin.is_ready, port, password))
        roles = {role: secret.postgres[role] for role in postgres_admin.ROLES}
        postgres_admin.provision(port, password, roles)
        progress(f"{region} postgres", "ready")
        login = Login(ports[f"{region}-kafka"], ADMIN, secret.kafka[ADMIN])
        progress(f"{region} kafka", "starting")
        self._until(f"{region}-kafka", partial(answers, login.port))
        self._until(f"{region}-kafka", partial(kafka_admin.is_ready, login))
        services = {name: secret.kafka[name] for name in PRINCIPALS}
        kafka_admin.provision(login, region, services, self.home / region / "topics.json")
        progress(f"{region} kafka", "ready")

    def _ready(self, spec: ProcessSpec, progress: Progress, limit_s: float | None = None) -> None:
        progress(spec.name, "starting")
        state, told = states.probe(spec), ""

        def is_told() -> bool:
            nonlocal state, told
            state, step = states.look(spec)
            if step and step != told:  # a model server says what takes it so long
                told = step
                progress(spec.name, step)
            return state != "starting"

        self._until(spec.name, is_told, limit_s or spec.ready_s)
        progress(spec.name, state)

    def _all(self, tasks: Iterable[Callable[[], None]]) -> None:
        side_by_side(tasks, self._cancelled)

    def _until(
        self, name: str, is_ready: Callable[[], bool], limit_s: float = processes.READY_S
    ) -> None:
        wait_until_ready(self.home, name, is_ready, self._ups, self._cancelled, limit_s=limit_s)

    def _halt(self) -> list[str]:
        """Stop the supervisor, then by pid whatever outlived it; return the names."""
        before = states.alive(self.home)
        if (supervisor := states.supervisor(self.home)) is not None:
            processes.stop([supervisor], reap=partial(states.reap, supervisor.pid))
        processes.stop(states.alive(self.home))
        states.clear(self.home)
        return [process.name for process in before]
