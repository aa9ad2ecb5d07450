"""Everything together for one seed: agents, a workload, faults for a while, then peace; and what must hold then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from msgspec import structs

from kmsched.core.model import Phase, Pod, Settings
from kmsched.core.resources import Resources, whole_counts
from kmsched.core.shares import Flavour
from kmsched.core.step import step
from kmsched.core.updates import TERMINAL
from kmsched.executor import effects as do
from tests.sim.agent import Agent
from tests.sim.host import Executor, Kubelet
from tests.sim.kube import Kube
from tests.sim.loop import Loop, Violation
from tests.sim.master import Master
from tests.sim.scheduler import Scheduler, Shell

TOTAL = Resources(cpus=4000, mem=8_000_000)
EXECUTOR_RESOURCES = Resources(cpus=100, mem=100_000)
#: what pods ask for: with room to spare, or so that six fill an agent
LOOSE = (Resources(cpus=200, mem=100_000, pods=1), Resources(cpus=500, mem=400_000, pods=1))
TIGHT = (Resources(cpus=650, mem=1_200_000, pods=1),)
SETTINGS = Settings(
    executor_id="km-1",
    executor_resources=EXECUTOR_RESOURCES,
    launch_timeout_s=20.0,
    backoff_max_s=5.0,
    reconcile_interval_s=30.0,
    roles=("*", "web"),
    pod_roles=("*", "web"),
    other_flavours={Flavour("web"): "km-1.web"},
    node_silent_s=45.0,
)
#: cycles that anything may interrupt, and whole ones
SLICES = (1, 12, 4000)
AGENTS = 3
MAX_PODS = 16
FAULTS_UNTIL_S = 60.0
#: after the last fault everything must be in order within this
PEACE_S = 150.0
#: and stay so: it is looked at so often, so many times in a row
LOOK_S = 10.0
CALM = 3

GOOD = Shell(step)


@dataclass(slots=True)
class World:
    seed: int
    shell: Shell = GOOD
    list_delay_s: float = 1.0
    has_faults: bool = True
    loop: Loop = field(init=False)
    kube: Kube = field(init=False)
    agents: list[Agent] = field(init=False)
    master: Master = field(init=False)
    scheduler: Scheduler = field(init=False)
    finish_s: dict[str, float] = field(default_factory=dict)  # of pods that end by themselves

    def __post_init__(self) -> None:
        loop = self.loop = Loop(self.seed)
        self.kube = Kube(loop, self.list_delay_s)
        self.idle_s = loop.rng.choice((0.0, 15.0)) if self.has_faults else 0.0
        self.sizes = loop.rng.choice((LOOSE, TIGHT))
        self.settings = replace(
            SETTINGS, slice_work=loop.rng.choice(SLICES), registers_all=loop.rng.choice((False, True))
        )
        self.agents = [self._agent(f"a{number}") for number in range(1, AGENTS + 1)]
        self.master = Master(loop, self.agents, SETTINGS.roles)
        self.scheduler = self._new_scheduler(1)
        burst_s = loop.rng.choice((0.0, loop.between(1.0, 30.0)))
        for number in range(MAX_PODS):
            # together, as a Deployment makes them, or one by one
            loop.at(burst_s or loop.between(0.0, 40.0), self._create(f"ns/{number}"))
        for _ in range(10):
            loop.at(loop.between(5.0, 58.0), self._delete_one)
        for _ in range(60):
            loop.at(loop.between(1.0, 45.0), self._touch_one)
        if self.has_faults:
            intensity = loop.rng.choice((1, 1, 2, 4))
            for fault, count in FAULTS:
                for _ in range(loop.rng.randint(0, count * intensity)):
                    loop.at(loop.between(2.0, FAULTS_UNTIL_S), lambda fault=fault: fault(self))  # type: ignore[misc]

    idle_s: float = field(init=False)
    sizes: tuple[Resources, ...] = field(init=False)
    settings: Settings = field(init=False)

    def run(self) -> None:
        """Violation, or any other exception, when something does not hold."""
        self.loop.run_until(FAULTS_UNTIL_S)
        self.loop.tell("peace")
        self.scheduler.may_fail = False
        calm = 0
        while calm < CALM:
            self.loop.run_until(self.loop.now + LOOK_S)
            try:
                check_peace(self)
            except Violation:
                calm = 0
                if self.loop.now >= FAULTS_UNTIL_S + PEACE_S:
                    raise
            else:
                calm += 1

    # --- parts

    def _agent(self, name: str) -> Agent:
        allocatable = whole_counts(structs.replace(TOTAL.minus(EXECUTOR_RESOURCES), pods=110))
        kubelet = Kubelet(self.loop, self.kube, name, allocatable, self.finish_s.get)

        def make(update: Callable[[do.SendUpdate], None], ended: Callable[[], None]) -> Executor:
            return Executor(self.loop, self.kube, kubelet, update=update, ended=ended, idle_timeout_s=self.idle_s)

        return Agent(self.loop, name, TOTAL, EXECUTOR_RESOURCES, make, kubelet)

    def _new_scheduler(self, term: int) -> Scheduler:
        return Scheduler(self.loop, self.kube, self.master, self.settings, term, self.shell)

    # --- the workload

    def _create(self, key: str) -> Callable[[], None]:
        def create() -> None:
            if key not in self.kube.pods:
                pod = self.kube.create(key, self.loop.rng.choice(self.sizes), self.loop.rng.randint(0, 2))
                self.loop.tell(f"a user creates {key}, {pod.uid}")
                if self.loop.chance(0.3):
                    self.finish_s[pod.uid] = self.loop.between(1.0, 30.0)
                elif self.loop.chance(0.3):
                    self.loop.at(self.loop.between(0.5, 8.0), lambda: self._replace(pod))

        return create

    def _replace(self, pod: Pod) -> None:
        """As a StatefulSet's pod is: the next one has its name at once."""
        if self.kube.find(pod.uid) is not None:
            self.kube.delete_by_user(pod.key)
            self.loop.at(self.loop.between(0.0, 0.05), self._create(pod.key))

    def _touch_one(self) -> None:
        """A label or a condition changes, most often of a pod that waits."""
        waiting = [key for key, pod in self.kube.pods.items() if not pod.is_bound] or sorted(self.kube.pods)
        if waiting:
            self.kube.touch(self.loop.rng.choice(waiting))

    def _delete_one(self) -> None:
        """And soon another pod has its name."""
        keys = sorted(self.kube.pods)
        if keys:
            key = self.loop.rng.choice(keys)
            self.kube.delete_by_user(key)
            if self.loop.chance(0.7):
                self.loop.at(self.loop.between(0.0, 6.0), self._create(key))

    # --- faults

    def kill_scheduler(self) -> None:
        old = self.scheduler
        if not old.is_alive:
            return
        if self.loop.chance(0.5):
            old.dies_after = self.loop.rng.randint(0, 4)  # in the middle of what it does next
        else:
            old.die()
        self.loop.at(self.loop.between(0.3, 5.0), self._next_scheduler)

    def _next_scheduler(self) -> None:
        self.scheduler.die()
        self.scheduler = self._new_scheduler(self.scheduler.state.term + 1)
        self.scheduler.may_fail = self.loop.now < FAULTS_UNTIL_S

    def kill_executor(self) -> None:
        self.loop.rng.choice(self.agents).kill_executor()

    def drain_agent(self) -> None:
        self.loop.rng.choice(self.agents).drain()

    def kill_agent(self) -> None:
        agent = self.loop.rng.choice(self.agents)
        if agent.is_up:
            agent.crash()
            self.master.agent_lost(agent)
            in_time = self.loop.chance(0.7)
            self.loop.at(self.loop.between(0.5, 15.0), lambda: self._agent_back(agent, in_time))

    def _agent_back(self, agent: Agent, in_time: bool) -> None:
        agent.restart(in_time)
        self.loop.at(self.loop.between(0.0, 1.0), lambda: self.master.register(agent))

    def kill_master(self) -> None:
        if self.master.is_up:
            self.master.fail_over(self.loop.between(0.2, 4.0))

    def cut_off(self) -> None:
        self.scheduler.is_cut_off = not self.scheduler.is_cut_off

    def stall(self) -> None:
        """One of the channels of Mesos carries nothing for a while."""
        channels = [registration.channel for registration in self.master.known.values()]
        channels += [agent.to_master for agent in self.agents]
        if self.master.connection is not None:
            channels += 2 * [self.master.connection.up, self.master.connection.down]
        channel = self.loop.rng.choice(channels)
        if channel is not None:
            channel.stall(self.loop.between(1.0, 12.0))

    def relist(self) -> None:
        self.scheduler.relist()
        for agent in self.agents:
            if agent.executor is not None:
                agent.executor.relist()


FAULTS: tuple[tuple[Callable[[World], None], int], ...] = (
    (World.kill_scheduler, 4),
    (World.kill_executor, 3),
    (World.kill_agent, 3),
    (World.drain_agent, 1),
    (World.kill_master, 2),
    (World.relist, 3),
    (World.cut_off, 4),
    (World.stall, 4),
)


def check_peace(world: World) -> None:
    """Nothing forgotten, nothing left over."""
    kube, require = world.kube, world.loop.require
    for pod in kube.pods.values():
        require(not pod.is_terminating, f"pod {pod.uid} was deleted and is still there")
        ended = pod.phase is Phase.FAILED or (pod.uid in world.finish_s and pod.phase is Phase.SUCCEEDED)
        require(
            ended or pod.phase is Phase.RUNNING, f"pod {pod.uid} is forgotten: {pod.phase.value} on {pod.node_name!r}"
        )
    for agent in world.agents:
        require(agent.agent_id in world.master.known, f"{agent.agent_id} is not back yet")
        registration = world.master.known[agent.agent_id]
        held = {task_id for task_id, task in registration.tasks.items() if task.state not in TERMINAL}
        needed = {p.task_id for p in kube.pods.values() if p.node_name == agent.agent_id and p.phase is Phase.RUNNING}
        require(held == needed, f"{agent.agent_id} has tasks {sorted(held)}, its pods name {sorted(needed)}")
        amount = EXECUTOR_RESOURCES if registration.has_executor else Resources()
        for pod in kube.pods.values():
            if pod.task_id in needed:
                amount = amount.plus(pod.requests.without_pods())
        require(registration.held == amount, f"{agent.agent_id} has {registration.held} held, its pods need {amount}")
        term, has = world.scheduler.state.term, agent.settings_version
        require(not needed or has == term, f"the executor of {agent.agent_id} has settings {has}, not {term}")
        unsent = [task_id for task_id, task in agent.tasks.items() if task.unsent]
        require(not unsent, f"updates of {unsent} are not acknowledged")
        _check_node(world, agent, registration.has_executor)
        for uid in agent.kubelet.starts:
            everywhere = sum(other.kubelet.starts.get(uid, 0) for other in world.agents)
            require(everywhere == 1, f"a container of {uid} was started {everywhere} times")
        for uid in agent.kubelet.containers:
            require(kube.find(uid) is not None, f"a container of {uid} runs on, its pod is gone")


def _check_node(world: World, agent: Agent, is_counted: bool) -> None:
    """`is_counted`: the master knows of an executor, also of one whose only launch was dropped."""
    runs = agent.executor is not None
    has_node = agent.agent_id in world.kube.nodes
    is_needed = world.settings.registers_all or runs or world.kube.has_pods(agent.agent_id)
    world.loop.require(has_node or not is_needed, f"{agent.agent_id}: it has no Node")
    world.loop.require(is_needed or not has_node or is_counted, f"{agent.agent_id}: nobody needs its Node")


def failure(world: World) -> str:
    """Words for what went wrong with this seed, the trace last; "" when all was well."""
    try:
        world.run()
    except Exception as error:
        trace = "\n".join(world.loop.trace)
        return f"{trace}\nseed {world.seed} at {world.loop.now:.3f} s: {type(error).__name__}: {error}"
    return ""
