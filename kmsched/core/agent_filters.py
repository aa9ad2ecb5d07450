"""What a Mesos agent alone may object to: offers of other roles, ports that are not offered, maintenance.

Each filter looks at one pod and at what is held of one agent, and has no objection, or says in words what it is.
`core.fit` has them in its table; an agent that is not of Mesos (`km whatif`) holds nothing and objects to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from kmsched.core.annotations import ROLES
from kmsched.core.model import Pod, Settings
from kmsched.core.ports import Ports, holds, lowest, words
from kmsched.core.resources import MILLI, ZERO, Resources, sum_of
from kmsched.core.shares import Flavour, Pool, Share, released, take

WILDCARD = "wildcard"
#: characters of roles that words tell
MAX_NAMED = 200


class Down(Struct, frozen=True, gc=False):
    """A maintenance of the agent's machine that has begun or is to come."""

    in_s: float
    words: str  # "from 2026-11-24 10:00 UTC to 2026-11-24 12:00 UTC"


class Held(Struct, frozen=True, gc=False):
    """What Mesos alone tells of an agent."""

    pools: tuple[Pool, ...] = ()  # one a role, the best liked first
    executor: Flavour | None = None  # of the one that runs, or that a launch of this cycle starts
    has_ports: bool = False  # Mesos counts the ports of this agent
    down: Down | None = None

    @property
    def offered(self) -> Resources:
        """In all roles."""
        pools = self.pools
        return pools[0].amount if len(pools) == 1 else sum_of(pool.amount for pool in pools)


NOTHING_HELD = Held()


class Taken(Struct, frozen=True, gc=False):
    """What one task takes."""

    role: str
    shares: tuple[Share, ...]
    mapped: tuple[int, ...]  # host ports for the pod's open ports, in their order
    executor: Flavour  # that it runs under


def roles_of(pod: Pod, settings: Settings) -> tuple[str, ...]:
    """Whose offers the pod may take, the best liked first."""
    if pod.wishes.roles is None:
        return settings.pod_roles
    return tuple(role for role in pod.wishes.roles if role in settings.roles)


def roles(pod: Pod, held: Held, settings: Settings) -> str | None:
    pools, wanted = held.pools, roles_of(pod, settings)
    if not pools or pools[0].role in wanted or any(pool.role in wanted for pool in pools):
        return None
    named = ", ".join(wanted if pod.wishes.roles is None else pod.wishes.roles)
    # one such text an agent, and users write what they like
    named = named if len(named) <= MAX_NAMED else f"{named[:MAX_NAMED]}..."
    if not named:
        return f"the annotation {ROLES} names no role"
    if not wanted:
        return f"the pod wants offers of role {named}, and the framework has {', '.join(settings.roles)}"
    return f"offers of role {', '.join(pool.role for pool in held.pools)} only; the pod wants {named}"


def most_for(pod: Pod, held: Held, settings: Settings) -> Resources:
    """What is offered in the first role that has enough for it; if none has, in the one with the most cpus."""
    pools = _candidates(pod, held, settings)
    enough = [pool.amount for pool in pools if pod.requests.fits_in(pool.amount)]
    return enough[0] if enough else max((pool.amount for pool in pools), key=astuple, default=ZERO)


def executor_room(pod: Pod, held: Held, settings: Settings) -> str | None:
    pools = held.pools
    if (len(pools) == 1 and pools[0].has_room) or all(pool.has_room for pool in pools):
        return None
    if any(pool.has_room and pod.requests.fits_in(pool.amount) for pool in _candidates(pod, held, settings)):
        return None
    cpus, mem = settings.executor_resources.cpus / MILLI, settings.executor_resources.mem // MILLI
    return f"the executor ({cpus:g} cpus, {mem} MiB) fits into no part of the offers that is reserved alike"


def offered_ports(pod: Pod, held: Held, settings: Settings) -> str | None:
    if not pod.host_ports and not pod.wishes.open_ports:
        return None
    wanted = len(open_ports(pod, settings))
    if not held.has_ports:
        return (
            f"{wanted} host ports are to be found (portMapping), and Mesos offers none"
            if wanted and held.pools
            else None
        )
    ports: Ports = ()
    for pool in _candidates(pod, held, settings):
        if not (pool.has_room and pod.requests.fits_in(pool.amount)):
            continue
        ports = pool.ports
        if _mapping(pod, ports, settings) is not None:
            return None
    for port in sorted(pod.host_ports):
        if not holds(ports, port.port):
            return f"host port {port.port}/{port.protocol} not in the offered ports ({words(ports)})"
    return f"{wanted} host ports are to be found (portMapping), and the offered ports are {words(ports)}"


def maintenance(pod: Pod, held: Held, settings: Settings) -> str | None:
    if held.down is None:
        return None
    longest_s = pod.wishes.runs_at_most_s
    if longest_s is not None and settings.launch_timeout_s + longest_s <= held.down.in_s:
        return None
    return f"maintenance {held.down.words}"


def taken_by(pod: Pod, held: Held, settings: Settings) -> tuple[Taken, Held]:
    """What its task takes, of the first role that has it all, and what is left. Nothing here may have objected.

    A pod that runs already takes those of its ports that are still offered: it has them in any case.
    """
    pool = _first_fitting(pod, held, settings)
    flavour = held.executor or (pool.executor if pool else None)
    if pool is None or flavour is None:
        raise ValueError(f"nothing that is held of the agent has room for {pod.key}")
    mapped, numbers = _ports_for(pod, pool.ports, settings) if held.has_ports else ((), [])
    shares, left = take(pool.shares, pod.requests, numbers)
    amount = left[0].amount if len(left) == 1 else sum_of(share.amount for share in left)
    rest = Pool(pool.role, left, amount)
    pools: tuple[Pool, ...] = (rest,)
    if len(held.pools) > 1:
        others = held.pools
        if held.executor is None:
            others = tuple(released(each, settings.executor_resources) for each in others)
        pools = tuple(rest if each.role == pool.role else each for each in others)
    return Taken(pool.role, shares, mapped, flavour), Held(pools, flavour, held.has_ports, held.down)


def _ports_for(pod: Pod, ports: Ports, settings: Settings) -> tuple[tuple[int, ...], list[int]]:
    """Those that are found for its open ports, and all that its task takes."""
    mapped = () if pod.is_bound else _mapping(pod, ports, settings) or ()
    numbers = {port.port for port in pod.host_ports} | {*mapped, *pod.wishes.mapped_ports}
    return mapped, sorted(number for number in numbers if holds(ports, number))


def _first_fitting(pod: Pod, held: Held, settings: Settings) -> Pool | None:
    for pool in _candidates(pod, held, settings):
        if pool.has_room and pod.requests.fits_in(pool.amount):
            is_free = not held.has_ports or pod.is_bound or _mapping(pod, pool.ports, settings) is not None
            if is_free:
                return pool
    return None


def _candidates(pod: Pod, held: Held, settings: Settings) -> Sequence[Pool]:
    wanted, pools = roles_of(pod, settings), held.pools
    if len(pools) == 1:
        return pools if pools[0].role in wanted else ()
    return [pool for role in wanted for pool in pools if pool.role == role]


def open_ports(pod: Pod, settings: Settings) -> tuple[tuple[str, int, str], ...]:
    """Those of the pod's ports that are to be given host ports: protocol, number, name."""
    wishes = pod.wishes
    is_mapped = wishes.port_mapping == WILDCARD if wishes.port_mapping else settings.maps_ports
    return wishes.open_ports if is_mapped else ()


def _mapping(pod: Pod, ports: Ports, settings: Settings) -> tuple[int, ...] | None:
    """Host ports for the pod's open ports, its own ones left out; None: these do not have all that it wants."""
    fixed = {port.port for port in pod.host_ports}
    if not all(holds(ports, number) for number in fixed):
        return None
    wanted = len(open_ports(pod, settings))
    found = lowest(ports, wanted, fixed) if wanted else ()
    return found if len(found) == wanted else None
