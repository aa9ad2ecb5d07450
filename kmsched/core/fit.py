"""May this pod go to this agent?  One table of filters; each has no objection, or says in words what it is.

Two ledgers must both fit: what Mesos has offered, and what kubelet will count at admission.  A filter looks at one
pod and one agent and decides nothing: who goes where is `core.cycle`'s, and what is free is told by the caller.

What kube-scheduler asks, too, has the name of its plugin here, and its order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import astuple, replace

from kmsched.core import agent_filters
from kmsched.core.affinity import is_met, is_tolerated
from kmsched.core.agent_filters import NOTHING_HELD, Held
from kmsched.core.model import NOTHING, HostPort, Pod, Settings, Taint
from kmsched.core.resources import SPOKEN_COUNTS, SPOKEN_RESOURCES, Counts, Resources

ANY_ADDRESS = "0.0.0.0"
#: the effects of taints that keep pods away; PreferNoSchedule is the ranking's
FORBIDDING = frozenset({"NoSchedule", "NoExecute"})
#: Kubernetes marks a cordoned Node with this taint too; who tolerates it may go there
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
NO_AGENTS = "0/0 agents: no agent has offered anything yet"
NO_PORTS: frozenset[HostPort] = frozenset()
NONE_FREE: Mapping[str, int] = MappingProxyType({})

Amounts = tuple[int, ...]
#: (name as users say it, how much is missing, its unit)
Shortfall = tuple[tuple[str, int, str], ...]


class Place(Struct, frozen=True, gc=False):
    """One agent as a pod would find it now."""

    agent_id: str
    hostname: str
    node_name: str
    offered: Resources  # all held offers together, less what this cycle took and the share of an executor to be started
    room: Counts  # kubelet's ledger: allocatable less every non-terminal or assumed pod there
    labels: Mapping[str, str] = NOTHING  # of its Node, or of the Node that it would get
    taints: tuple[Taint, ...] = ()
    is_cordoned: bool = False
    extended: Mapping[str, int] = NONE_FREE  # what is free of resources of other names
    executor_id: str = ""  # the one that runs there, of another fingerprint before ours; "" none
    difference: str = ""  # how that one differs from ours, in words
    used_ports: frozenset[HostPort] = NO_PORTS
    held: Held = NOTHING_HELD

    def less(self, pod: Pod) -> Place:
        """What kubelet has left there for the next pod, with this one."""
        return replace(self, room=self.room.minus(pod.counts)).less_named(pod)

    def less_named(self, pod: Pod) -> Place:
        """The same of host ports and resources of other names alone, which few pods have."""
        if not pod.extended and not pod.host_ports:
            return self
        extended = less_extended(self.extended, pod)
        return replace(self, extended=extended, used_ports=self.used_ports | pod.host_ports)


def less_extended(free: Mapping[str, int], pod: Pod) -> Mapping[str, int]:
    """What is left of resources of other names."""
    left = dict(free)
    for name, amount in pod.extended:
        left[name] = left.get(name, 0) - amount
    return left


class Veto(Struct, frozen=True, gc=False):
    """Why not here.  `is_static`: nothing that ends or is offered there can help; the pod, the Node or the executor
    must change.  `shortfall`: of the ledger named by `ledger`.
    """

    filter: str
    reason: str
    is_static: bool
    shortfall: Shortfall = ()
    ledger: str = ""  # offers | kubelet


Filter = Callable[[Pod, Place, Settings], Veto | None]
Filters = tuple[tuple[str, Filter], ...]


def veto(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    """The first objection in the order of the table; None if the pod fits.

    A pod that is bound already was admitted there: only what its new task needs is asked then.
    """
    return first_objection(ADOPTION_FILTERS if pod.node_name else FILTERS, pod, place, settings)


def first_objection(filters: Filters, pod: Pod, place: Place, settings: Settings) -> Veto | None:
    for _, objection in filters:
        found = objection(pod, place, settings)
        if found is not None:
            return found
    return None


def explain(vetoes: Sequence[Veto], agents: int) -> str:
    """One line for people: "0/12 agents: 5 insufficient cpu (offers, short by 250m at best), 7 cordoned".

    `agents` counts all that are known; those without a veto have no offer to be judged by.
    """
    if agents == 0:
        return NO_AGENTS
    counts: Counter[str] = Counter()
    short: dict[tuple[str, tuple[str, ...]], list[Veto]] = {}
    for one in vetoes:
        if one.shortfall:
            short.setdefault((one.ledger, tuple(name for name, _, _ in one.shortfall)), []).append(one)
        else:
            counts[one.reason] += 1
    for (ledger, _), alike in short.items():
        best = tuple(
            (name, min(one.shortfall[i][1] for one in alike), unit)
            for i, (name, _, unit) in enumerate(alike[0].shortfall)
        )
        counts[_short_words(best, ledger, " at best")] += len(alike)
    if agents > len(vetoes):
        counts["without an offer now"] += agents - len(vetoes)
    causes = sorted(counts.items(), key=lambda cause: (-cause[1], cause[0]))
    return f"0/{agents} agents: " + ", ".join(f"{count} {words}" for words, count in causes)


def _short_words(shortfall: Shortfall, ledger: str, suffix: str = "") -> str:
    names = " and ".join(name for name, _, _ in shortfall)
    amounts = " and ".join(f"{missing}{unit}" for _, missing, unit in shortfall)
    return f"insufficient {names} ({ledger}, short by {amounts}{suffix})"


def _insufficient(name: str, shortfall: Shortfall, ledger: str) -> Veto:
    return Veto(name, _short_words(shortfall, ledger), False, shortfall, ledger)


# --- the filters


def _privileged(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not pod.is_privileged or settings.allow_privileged:
        return None
    return Veto("privileged", "privileged containers are not allowed (--allow-privileged=false)", True)


def _node_name(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not pod.node_name or pod.node_name == place.node_name:
        return None
    return Veto("NodeName", f"nodeName is {pod.node_name}", True)


def _node_affinity(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    for key, value in pod.node_selector.items():
        if place.labels.get(key) != value:
            return Veto("NodeAffinity", f"nodeSelector {key}={value} does not match", True)
    if pod.node_affinity is None:
        return None
    for term in pod.node_affinity:
        if is_met(term, place.labels, place.node_name):
            return None
    return Veto("NodeAffinity", "required node affinity does not match", True)


def _cordon(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not place.is_cordoned or is_tolerated(UNSCHEDULABLE, pod.tolerations):
        return None
    return Veto("NodeUnschedulable", "cordoned", True)


def _taints(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    for taint in place.taints:
        if taint.effect not in FORBIDDING or taint.key in settings.ignored_taints:
            continue
        if not is_tolerated(taint, pod.tolerations):
            value = f"={taint.value}" if taint.value else ""
            return Veto("TaintToleration", f"taint {taint.key}{value}:{taint.effect}", True)
    return None


def _executor(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not place.executor_id or place.executor_id == settings.executor_id:
        return None
    return Veto("executor", f"executor of another fingerprint ({place.difference})", True)


def _host_ports(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not pod.host_ports or not place.used_ports:
        return None
    for wanted in sorted(pod.host_ports):
        for used in place.used_ports:
            if wanted.port != used.port or wanted.protocol != used.protocol:
                continue
            if wanted.ip == used.ip or ANY_ADDRESS in (wanted.ip, used.ip):
                return Veto("NodePorts", f"host port {wanted.port}/{wanted.protocol} in use", False)
    return None


def _offered(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    want, have = pod.requests, place.offered  # pods are not Mesos': never asked here
    if len(place.held.pools) > 1:
        have = agent_filters.most_for(pod, place.held, settings)
    if want.fits_in(have):
        return None
    short = _shortfalls(astuple(want)[:4], astuple(have)[:4], SPOKEN_RESOURCES)
    return _insufficient("offers", short, "offers") if short else None


def _room(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    want, have = pod.counts, place.room
    if want.pods > have.pods:
        return Veto("NodeResourcesFit", "too many pods on the node", False)
    if want.cpu <= have.cpu and want.memory <= have.memory and want.storage <= have.storage and not pod.extended:
        return None
    short = _shortfalls(astuple(want)[:3], astuple(have)[:3], SPOKEN_COUNTS) + tuple(
        (name, wanted - place.extended.get(name, 0), "")
        for name, wanted in pod.extended
        if wanted > 0 and wanted > place.extended.get(name, 0)
    )
    return _insufficient("NodeResourcesFit", short, "kubelet") if short else None


def _shortfalls(want: Amounts, have: Amounts, spoken: tuple[tuple[str, str, int], ...]) -> Shortfall:
    # A kind that nothing is wanted of is never short, even where more is used than there is.
    return tuple(
        (name, -(-(wanted - there) // divisor), unit)
        for wanted, there, (name, unit, divisor) in zip(want, have, spoken, strict=True)
        if wanted > max(there, 0)
    )


def _unsupported(pod: Pod, place: Place, settings: Settings) -> Veto | None:
    if not pod.unsupported:
        return None
    words = ", ".join(rule.words for rule in pod.unsupported)
    return Veto(pod.unsupported[0].filter, f"the pod asks for what is not supported: {words}", True)


def _held(name: str, words: Callable[[Pod, Held, Settings], str | None]) -> tuple[str, Filter]:
    """A filter of `core.agent_filters` as a row of the table."""

    def objection(pod: Pod, place: Place, settings: Settings) -> Veto | None:
        found = words(pod, place.held, settings)
        return None if found is None else Veto(name, found, False)

    return name, objection


#: In this order; the first that objects is the reason that people read.  Ours that no waiting helps against, then
#: those of kube-scheduler in its order, between them the offers; what is not supported is all of later plugins.
FILTERS: Filters = (
    ("privileged", _privileged),
    ("executor", _executor),
    _held("maintenance", agent_filters.maintenance),
    ("NodeName", _node_name),
    ("NodeUnschedulable", _cordon),
    ("TaintToleration", _taints),
    ("NodeAffinity", _node_affinity),
    ("NodePorts", _host_ports),
    _held("roles", agent_filters.roles),
    ("offers", _offered),
    _held("executorRoom", agent_filters.executor_room),
    _held("offeredPorts", agent_filters.offered_ports),
    ("NodeResourcesFit", _room),
    ("unsupported", _unsupported),
)
#: kubelet has admitted a bound pod already: a new task for it needs the agent, an executor and the reservation.
ADOPTION_FILTERS: Filters = tuple(
    row for row in FILTERS if row[0] in ("NodeName", "executor", "roles", "offers", "executorRoom")
)
OF_AGENTS = frozenset({"privileged", "executor", "maintenance", "roles", "offers", "executorRoom", "offeredPorts"})
#: What a Node alone can be asked, without a Mesos agent: all that kube-scheduler asks, too.
NODE_FILTERS: Filters = tuple(row for row in FILTERS if row[0] not in OF_AGENTS)
#: What is the same for a whole cycle: what a Node's name and labels are asked, and all else; the others ask for what
#: the cycle's pods take from each other.
LABELS = frozenset({"NodeName", "NodeAffinity"})
STANDING = frozenset({"privileged", "executor", "maintenance", "roles", "unsupported"})
STANDING |= {"NodeUnschedulable", "TaintToleration"}
LABEL_FILTERS: Filters = tuple(row for row in FILTERS if row[0] in LABELS)
STANDING_FILTERS: Filters = tuple(row for row in FILTERS if row[0] in STANDING)
TAKEN_FILTERS: Filters = tuple(row for row in FILTERS if row[0] not in STANDING | LABELS)
#: Who never objects to such a pod, whatever the agent.
SILENT: Mapping[str, Callable[[Pod], bool]] = MappingProxyType(
    {
        "privileged": lambda pod: not pod.is_privileged,
        "NodeName": lambda pod: not pod.node_name,
        "NodeAffinity": lambda pod: not pod.node_selector and pod.node_affinity is None,
        "NodePorts": lambda pod: not pod.host_ports,
        "offeredPorts": lambda pod: not pod.host_ports and not pod.wishes.open_ports,
        "unsupported": lambda pod: not pod.unsupported,
    }
)


def concerning(filters: Filters, pod: Pod) -> Filters:
    """Those that may object to this pod, and to all that are alike."""
    return tuple(row for row in filters if row[0] not in SILENT or not SILENT[row[0]](pod))
