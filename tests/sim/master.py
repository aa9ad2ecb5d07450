"""The Mesos master: who holds what, offers, calls in order on one subscription, reconciliation, failover."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kmsched.core import effects as do
from kmsched.core import events as ev
from kmsched.core.events import TaskState
from kmsched.core.model import Offer
from kmsched.core.ports import holds
from kmsched.core.resources import ZERO
from kmsched.core.updates import TERMINAL
from tests.sim.agent import Agent, Status
from tests.sim.loop import Channel, Loop
from tests.sim.registration import Held, Registration

ALLOCATE_S = 0.5
UNREACHABLE_S = 10.0
NET_S = 0.05


class Connection:
    """One subscription of a scheduler; `tell` takes events, in order."""

    def __init__(self, loop: Loop, tell: Callable[[ev.Event], None], lost: Callable[[], None]) -> None:
        self.up, self.down = Channel(loop, NET_S), Channel(loop, NET_S)
        self.tell, self.lost = tell, lost

    def event(self, event: ev.Event) -> None:
        self.down.send(lambda: self.tell(event))


class Master:
    def __init__(self, loop: Loop, agents: list[Agent], roles: tuple[str, ...]) -> None:
        self.loop, self.agents, self.roles = loop, agents, roles
        self.is_up = True
        self.connection: Connection | None = None
        self.known: dict[str, Registration] = {}
        self.offers: dict[str, Offer] = {}
        self.is_suppressed = False
        self._offer_count = 0
        loop.every(ALLOCATE_S, self._allocate)
        for agent in agents:
            agent.on_status, agent.on_executor_ended = self._status, self._executor_ended
            agent.on_configured = self._configured
            self.register(agent)

    # --- agents

    def register(self, agent: Agent) -> None:
        if not (self.is_up and agent.is_up):
            return
        before = self.known.get(agent.agent_id)
        if before is not None and before.channel is not None:
            return
        agent.to_master = Channel(self.loop, NET_S)
        found = Registration(agent, Channel(self.loop, NET_S))
        self.known[agent.agent_id] = found
        found.has_executor = agent.executor is not None
        for task_id, task in agent.tasks.items():
            found.tasks[task_id] = Held.of(task.launch, task.state)
            if before is not None and before.is_unreachable and task.state not in TERMINAL:
                self._tell_status(
                    agent.agent_id, Status(task_id, task.state, "SOURCE_MASTER", "REASON_SLAVE_REREGISTERED")
                )
        for task_id, held in (before.tasks if before is not None else {}).items():
            if task_id not in found.tasks and held.state not in TERMINAL:
                dropped = Status(task_id, TaskState.DROPPED, "SOURCE_MASTER", "REASON_RECONCILIATION")
                self._tell_status(agent.agent_id, dropped)
        agent._retry()

    def agent_lost(self, agent: Agent) -> None:
        found = self.known.get(agent.agent_id)
        if found is None or found.channel is None:
            return
        found.channel.close()
        found.channel = None
        self._rescind([oid for oid, offer in self.offers.items() if offer.agent_id == agent.agent_id])
        self.loop.at(UNREACHABLE_S, lambda: self._mark_unreachable(found))

    def _mark_unreachable(self, found: Registration) -> None:
        agent_id = found.agent.agent_id
        if found.channel is not None or self.known.get(agent_id) is not found:
            return
        found.is_unreachable = True
        self._event(ev.AgentFailed(agent_id))
        for task_id, held in found.tasks.items():
            if held.state not in TERMINAL:
                self._tell_status(
                    agent_id, Status(task_id, TaskState.UNREACHABLE, "SOURCE_MASTER", "REASON_SLAVE_REMOVED")
                )

    def _status(self, agent: Agent, status: Status) -> None:
        found = self.known.get(agent.agent_id)
        if found is None:
            return
        held = found.tasks.get(status.task_id)
        if held is not None and held.state not in TERMINAL:
            held.state = status.state
        self._tell_status(agent.agent_id, status)

    def _executor_ended(self, agent: Agent) -> None:
        found = self.known.get(agent.agent_id)
        if found is not None and found.has_executor:
            found.has_executor = False
            self._event(ev.ExecutorFailed(agent.agent_id, agent.executor_id))

    def _configure(self, effect: do.ConfigureExecutor) -> None:
        found = self.known.get(effect.agent_id)
        if found is not None:
            self._to_agent(found, lambda: found.agent.configure(effect.version))

    def _configured(self, agent: Agent, version: int) -> None:
        if not self.loop.chance(0.2):  # a message is delivered at best once
            self._event(ev.SettingsConfirmed(agent.agent_id, agent.executor_id, version))

    # --- the scheduler

    def subscribe(self, connection: Connection) -> bool:
        if not self.is_up:
            return False
        old = self.connection
        if old is not None:
            old.down.close()
        self.connection, self.is_suppressed = connection, False
        self.offers.clear()
        for found in self.known.values():
            found.refused_until = 0.0
        connection.event(ev.Subscribed("F"))
        return True

    def disconnected(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None
            self.offers.clear()

    def call(self, connection: Connection, effect: do.Effect) -> bool:
        """False: 400 or 403, the call was not taken."""
        if not self.is_up or self.connection is not connection:
            return False
        match effect:
            case do.AcceptOffers():
                self._accept(effect)
            case do.DeclineOffers():
                for agent_id in self._give_back(effect.offer_ids):
                    self.known[agent_id].refused_until = self.loop.now + effect.refuse_s
            case do.SuppressOffers():
                self.is_suppressed = True
            case do.ReviveOffers():
                self.is_suppressed = False
                for found in self.known.values():
                    found.refused_until = 0.0
            case do.AcknowledgeUpdate():
                self._acknowledge(effect)
            case do.KillTask():
                for found in self.known.values():
                    if effect.task_id in found.tasks and found.channel is not None:
                        agent, task_id = found.agent, effect.task_id
                        self._to_agent(found, lambda agent=agent, task_id=task_id: agent.kill(task_id))  # type: ignore[misc]
            case do.ReconcileTasks():
                self._reconcile(effect.tasks)
            case do.ConfigureExecutor():
                self._configure(effect)
            case _:
                raise AssertionError(effect)
        return True

    def _accept(self, accept: do.AcceptOffers) -> None:
        valid = all(offer_id in self.offers for offer_id in accept.offer_ids)
        offers = [self.offers[offer_id] for offer_id in accept.offer_ids if offer_id in self.offers]
        amount = ZERO
        for offer in offers:
            amount = amount.plus(offer.resources)
            self.loop.require(
                offer.role == accept.role, f"an ACCEPT in role {accept.role} has an offer of {offer.role}"
            )
        self._give_back(accept.offer_ids)
        if not valid:
            for launch in accept.launches:
                dropped = Status(launch.task_id, TaskState.DROPPED, "SOURCE_MASTER", "REASON_INVALID_OFFERS")
                self._tell_status(accept.agent_id, dropped)
            return
        found = self.known[accept.agent_id]
        executor = ZERO if found.has_executor else found.agent.executor_resources
        wanted = executor
        for launch in accept.launches:
            wanted = wanted.plus(launch.resources.without_pods())
        if not wanted.fits_in(amount):
            is_news = wanted.fits_in(amount.plus(found.agent.executor_resources)) and bool(executor.cpus)
            words = f"an ACCEPT takes {wanted} of {amount} on {accept.agent_id}"
            self.loop.require(is_news, words)  # the executor of the offer has ended since
            for launch in accept.launches:
                error = Status(launch.task_id, TaskState.ERROR, "SOURCE_MASTER", "REASON_TASK_INVALID")
                self._tell_status(accept.agent_id, error)
            return
        agent, executor_id = found.agent, accept.executor_id
        if found.has_executor:
            words = f"{agent.agent_id} runs executor {agent.executor_id}, and {executor_id} is to run beside it"
            self.loop.require(agent.executor_id == executor_id, words)
        elif accept.role != accept.flavour.role:
            # of another role than its offers: the ACCEPT that was to start it did not come through
            for launch in accept.launches:
                error = Status(launch.task_id, TaskState.ERROR, "SOURCE_MASTER", "REASON_TASK_INVALID")
                self._tell_status(accept.agent_id, error)
            return
        starts_executor = not found.has_executor
        found.has_executor, agent.executor_id = True, executor_id
        for launch in accept.launches:
            held = found.tasks[launch.task_id] = Held.of(launch, TaskState.STAGING)
            words = f"{launch.task_id} takes ports {sorted(held.ports)} that are not offered on {agent.agent_id}"
            self.loop.require(all(any(holds(o.ports, port) for o in offers) for port in held.ports), words)
            self._to_agent(found, partial(agent.launch, launch, starts_executor=starts_executor))
            starts_executor = False

    def _acknowledge(self, effect: do.AcknowledgeUpdate) -> None:
        found = self.known.get(effect.agent_id)
        if found is None:
            return
        held = found.tasks.get(effect.task_id)
        if held is not None and held.state in TERMINAL:
            del found.tasks[effect.task_id]
        self._to_agent(found, lambda: found.agent.acknowledged(effect.task_id, effect.update_id))

    def _reconcile(self, tasks: tuple[tuple[str, str], ...]) -> None:
        if not tasks:
            for agent_id, found in self.known.items():
                for task_id, held in found.tasks.items():
                    if not found.is_unreachable:
                        self._tell_status(
                            agent_id, Status(task_id, held.state, "SOURCE_MASTER", "REASON_RECONCILIATION")
                        )
            return
        for task_id, agent_id in tasks:
            state = self._state_of(task_id, agent_id)
            if state is not None:
                self._tell_status(agent_id, Status(task_id, state, "SOURCE_MASTER", "REASON_RECONCILIATION"))

    def _state_of(self, task_id: str, agent_id: str) -> TaskState | None:
        found = self.known.get(agent_id)
        if found is None:
            # an agent that may still come back to a new master is not answered for
            return None if any(agent.agent_id == agent_id for agent in self.agents) else TaskState.UNKNOWN
        if found.is_unreachable:
            return TaskState.UNREACHABLE
        held = found.tasks.get(task_id)
        return TaskState.GONE if held is None else held.state

    # --- offers

    def _allocate(self) -> None:
        if not self.is_up or self.connection is None:
            return
        offers = []
        for agent_id, found in self.known.items():
            free, ports = found.free(offer for offer in self.offers.values() if offer.agent_id == agent_id)
            self.loop.require(ZERO.fits_in(free), f"more is held and offered on {agent_id} than it has: {free}")
            is_barred = self.is_suppressed or found.channel is None or found.refused_until > self.loop.now
            if is_barred or free.cpus < 100 or free.mem < 10_000:
                continue
            self._offer_count += 1
            offer_id = f"o{self._offer_count}"
            executors = frozenset({found.agent.executor_id}) if found.has_executor else frozenset[str]()
            role = self.roles[self._offer_count % len(self.roles)]
            offer = Offer(offer_id, agent_id, agent_id.upper(), free, executor_ids=executors, role=role, ports=ports)
            self.offers[offer_id] = offer
            offers.append(offer)
        if offers:
            self._event(ev.OffersArrived(tuple(offers)))

    def _give_back(self, offer_ids: tuple[str, ...]) -> set[str]:
        return {self.offers.pop(offer_id).agent_id for offer_id in offer_ids if offer_id in self.offers}

    def _rescind(self, offer_ids: list[str]) -> None:
        for offer_id in offer_ids:
            del self.offers[offer_id]
            self._event(ev.OfferRescinded(offer_id))

    # --- faults

    def fail_over(self, back_after_s: float) -> None:
        self.loop.tell("the master fails over")
        self.is_up = False
        connection, self.connection = self.connection, None
        self.offers.clear()
        if connection is not None:
            connection.up.close()
            connection.down.close()
            self.loop.at(self.loop.between(0.0, 0.5), connection.lost)
        for found in self.known.values():
            if found.channel is not None:
                found.channel.close()
            if found.agent.to_master is not None:
                found.agent.to_master.close()
                found.agent.to_master = None
        self.known = {}
        self.loop.at(back_after_s, self._lead)

    def _lead(self) -> None:
        self.is_up = True
        for agent in self.agents:
            self.loop.at(self.loop.between(0.1, 5.0), lambda agent=agent: self.register(agent))  # type: ignore[misc]

    # --- words to others

    def _to_agent(self, found: Registration, job: Callable[[], None]) -> None:
        if found.channel is not None:
            found.channel.send(job)

    def _tell_status(self, agent_id: str, status: Status) -> None:
        self._event(
            ev.TaskUpdated(
                status.task_id,
                status.state,
                source=status.source,
                reason=status.reason,
                agent_id=agent_id,
                executor_id=self._executor_id_of(agent_id),
                update_id=status.update_id,
            )
        )

    def _executor_id_of(self, agent_id: str) -> str:
        return next((agent.executor_id for agent in self.agents if agent.agent_id == agent_id), "")

    def _event(self, event: ev.Event) -> None:
        if self.connection is not None:
            self.connection.event(event)
            if isinstance(event, ev.TaskUpdated) and self.loop.chance(0.03):
                self.connection.event(event)  # Mesos tells at least once
