"""One trial: for a while the leading scheduler, or a member of etcd, is cut off, frozen or gone, and comes back.

Used by the scenario and, in larger numbers and for longer, by the soak. What took effect is read from the logs of the
Mesos master and the API server, what became of pods from containerd and the API, how processes ended from systemd. A
trial never raises for what went wrong with the product: it says so in `wrong`.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from kmsched.ha import SHARES
from testbed import network
from testbed.settings import MESOS_MASTER_PORT
from tests.scenarios import reigns
from tests.scenarios.etcd import CLIENT_PORT, PEER_PORT
from tests.scenarios.group import Group
from tests.scenarios.group_trial import GroupTrial
from tests.scenarios.load import Load
from tests.scenarios.takeovers import EXIT_DEPOSED, SUCCESSOR_S, WINDOW_S
from tests.scenarios.waiting import until

#: of the TTL: at the latest so long after a leader's last renewal nothing that it has sent takes effect any more
QUIET = SHARES["ha-renew-deadline"] + SHARES["ha-call-deadline"]
#: whoever has waited meanwhile comes first
PLACED_S = 90.0


class Follows(enum.Enum):
    NOBODY = "whoever led leads on, in the same term"
    ANOTHER = "another leads; whoever led ends as deposed and stands by"
    PERHAPS = "one of the two"


@dataclass(frozen=True, slots=True)
class Scene:
    """Hosts by what is on them as the trial begins. `standbys`: the others; `etcd_leader` may be any of all."""

    group: Group
    leader: str
    standbys: tuple[str, ...]
    etcd_leader: str


Act = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`is_quiet`: whoever led must not act while it lasts. `with_etcd`: etcd's leader is on the same host before."""

    follows: Follows
    strike: Act
    undo: Act
    is_quiet: bool = False
    with_etcd: bool = False


def _pulled(scene: Scene) -> None:
    network.set_cable(scene.group.cluster.settings, scene.leader, plugged=False)


def _plugged(scene: Scene) -> None:
    network.set_cable(scene.group.cluster.settings, scene.leader, plugged=True)


def _cut(scene: Scene, others: tuple[str, ...], *ports: int) -> None:
    settings = scene.group.cluster.settings
    network.cut_links(settings, scene.leader, [settings.address(each) for each in others], ports)


def _healed(scene: Scene) -> None:
    network.heal_links(scene.group.cluster.settings, scene.leader)


def _etcd_cable(plugged: bool) -> Act:
    return lambda scene: network.set_cable(scene.group.cluster.settings, scene.etcd_leader, plugged)


def _to_etcd_leader(number: signal.Signals) -> Act:
    return lambda scene: scene.group.etcd.send(scene.etcd_leader, number)


def _to_nearest_member(number: signal.Signals) -> Act:
    return lambda scene: scene.group.etcd.send(scene.leader, number)


FAULTS: Mapping[str, Fault] = {
    "leader-cut-off": Fault(Follows.ANOTHER, _pulled, _plugged, is_quiet=True),
    "leader-cut-off-with-etcd-leader": Fault(Follows.ANOTHER, _pulled, _plugged, is_quiet=True, with_etcd=True),
    "leader-cut-from-etcd": Fault(
        Follows.ANOTHER, lambda scene: _cut(scene, scene.standbys, CLIENT_PORT, PEER_PORT), _healed, is_quiet=True
    ),
    "leader-cut-from-mesos": Fault(
        Follows.PERHAPS,
        lambda scene: _cut(scene, tuple(scene.group.cluster.plan.hosts.masters), MESOS_MASTER_PORT),
        _healed,
    ),
    "etcd-leader-cut-off": Fault(Follows.NOBODY, _etcd_cable(False), _etcd_cable(True)),
    # systemd starts it again
    "etcd-leader-killed": Fault(Follows.NOBODY, _to_etcd_leader(signal.SIGKILL), lambda scene: None),
    # an old etcd that wakes up may end leases that its successor had lengthened
    "etcd-leader-frozen": Fault(Follows.PERHAPS, _to_etcd_leader(signal.SIGSTOP), _to_etcd_leader(signal.SIGCONT)),
    "etcd-member-frozen": Fault(Follows.NOBODY, _to_nearest_member(signal.SIGSTOP), _to_nearest_member(signal.SIGCONT)),
    "etcd-quorum-lost": Fault(
        Follows.NOBODY,
        lambda scene: scene.group.etcd.stop(*scene.standbys),
        lambda scene: scene.group.etcd.start(*scene.standbys),
        is_quiet=True,
    ),
}


@dataclass(slots=True)
class Trial(GroupTrial):
    """Times in seconds after the fault began; it was whole after `struck_s`."""

    fault: str
    ttl_s: int
    lasts_s: float
    etcd_leader: str = ""
    terms: list[int] = field(default_factory=list)
    struck_s: float = 0.0
    led_s: float | None = None
    healed_s: float = 0.0
    placed_s: float = 0.0
    subscriptions: int = 0
    ended: dict[str, list[int]] = field(default_factory=dict)


def trial(group: Group, load: Load, fault: str, seed: int, lasts_s: float) -> Trial:
    done = Trial(seed, fault, group.ttl_s, lasts_s)
    done.run(load, lambda: _suffer(group, load, FAULTS[fault], done))
    return done


def _suffer(group: Group, load: Load, fault: Fault, done: Trial) -> None:
    scene = _scene(group, fault, done.seed)
    follows = fault.follows
    # a lease may survive what is shorter; and members of etcd may not have voted as they were asked to
    if done.lasts_s < group.ttl_s or (follows is Follows.NOBODY and scene.etcd_leader == scene.leader):
        follows = Follows.PERHAPS
    done.old, done.etcd_leader = scene.leader, scene.etcd_leader
    before, ids = group.heard(scene.leader), group.framework_ids()
    # the fault's own moment, not a wait for something
    time.sleep(Random(done.seed).uniform(0, WINDOW_S))
    struck, began = time.time(), time.monotonic()
    with _struck(fault, scene):
        done.struck_s = round(time.time() - struck, 3)
        if follows is Follows.ANOTHER:
            group.wait_successor(scene.leader, SUCCESSOR_S)
            done.led_s = round(time.monotonic() - began, 3)
        time.sleep(max(0.0, began + done.lasts_s - time.monotonic()))
        done.healed_s = round(time.time() - struck, 3)
    group.wait_whole()
    done.back_s = round(time.monotonic() - began, 3)
    _wait_placed(load, began + done.healed_s)
    done.placed_s = round(time.monotonic() - began, 3)
    # an old leader of etcd that woke up may have ended the lease of whoever led on until then
    done.new = group.wait_whole()
    after = group.heard(done.new)
    done.terms = [before["term"], after["term"]]
    done.ended = {host: codes for host in group.hosts if (codes := group.exit_codes(host, struck))}
    done.require_framework(group, before, ids, after)
    acts = reigns.acts(group, struck, scene.leader)
    done.subscriptions = acts.subscriptions
    done.note_acts(acts)
    quiet_s = group.ttl_s * QUIET
    if fault.is_quiet and (late := acts.between(scene.leader, done.struck_s + quiet_s, done.healed_s)):
        done.wrong.append(f"{scene.leader} acted {late} times later than {quiet_s:g} s after it was cut off")
    done.wrong += _changes(follows, done)


def _scene(group: Group, fault: Fault, seed: int) -> Scene:
    """Everybody is there, and etcd's leader is where the fault wants it."""
    group.etcd.wait_whole()
    leader = group.wait_whole()
    standbys = tuple(host for host in group.hosts if host != leader)
    etcd_leader = group.etcd.have_led_at(leader if fault.with_etcd else standbys[seed % len(standbys)])
    # whoever has lost sight of etcd meanwhile is there again
    leader = group.wait_whole()
    return Scene(group, leader, tuple(host for host in group.hosts if host != leader), etcd_leader)


@contextlib.contextmanager
def _struck(fault: Fault, scene: Scene) -> Iterator[None]:
    try:
        fault.strike(scene)
        yield
    finally:
        fault.undo(scene)


def _wait_placed(load: Load, healed: float) -> None:
    """Until a pod runs that was created afterwards."""

    def is_placed() -> bool:
        return any(life.created_s > healed and life.running_s is not None for life in list(load.watch.lives.values()))

    until(is_placed, PLACED_S, "a pod that was created after the fault runs")


def _changes(follows: Follows, done: Trial) -> list[str]:
    """What is not as the fault's row says of leader, term, subscriptions and ends of processes."""
    is_same = (done.old, done.terms[0]) == (done.new, done.terms[1])
    if follows is Follows.PERHAPS:
        follows = Follows.NOBODY if is_same else Follows.ANOTHER
    if follows is Follows.NOBODY:
        wanted: tuple[int, dict[str, list[int]]] = 0, {}
        wrong = [] if is_same else [f"{done.old} led on in no term of its own: {done.new}, terms {done.terms}"]
    else:
        wanted = 1, {done.old: [EXIT_DEPOSED]}
        is_next = done.new != done.old and done.terms[0] < done.terms[1]
        wrong = [] if is_next else [f"{done.old} was followed by {done.new}, terms {done.terms}"]
    if (done.subscriptions, done.ended) != wanted:
        wrong.append(f"{done.subscriptions} subscriptions and ended processes {done.ended}, not {wanted}")
    return wrong
