"""Who this scheduler is to Mesos and in its task ids: the framework id and the term, as the store keeps them.

Knows when each is made and that neither is ever guessed.  It does not know Mesos or Kubernetes.
"""

from __future__ import annotations

from dataclasses import dataclass

from kmsched.clients.store import Record, Store
from kmsched.errors import ConfigRefused, FrameworkIdMissing, Mismatched, ProtocolError

FRAMEWORK_ID = "framework-id"
TERM = "term"
#: what an explicit reset leaves: the next SUBSCRIBED may bring a new framework id although pods are bound
RESET = ""
#: what an operator confirms when nothing is stored
NONE = "none"
#: the highest term that a pod's annotation is believed; anyone who may edit a pod can write one
MAX_SEEN_TERM = 36**8
#: so far above it that no annotation can use the terms up; a task id has room for it
MAX_TERM = 36**12
MAX_NAMED_PODS = 3


async def next_term(store: Store, above: int = 0) -> int:
    """A term that was never used here and is above `above`; on the disk before it is returned."""
    record = await store.get(TERM)
    term = max(term_of(record) if record else 0, above) + 1
    await store.put(TERM, str(term), record.revision if record else 0)
    return term


def term_of(record: Record) -> int:
    """ConfigRefused: the record is damaged."""
    if not record.value.isdecimal() or int(record.value) > MAX_TERM:
        raise ConfigRefused(
            f"the stored term is {record.value[:50]!r}, which is none; restore the state folder from a backup, or write"
            " a number above every term in the taskId annotations of the pods"
        )
    return int(record.value)


@dataclass(slots=True)
class FrameworkId:
    """The framework id: None while there is none."""

    store: Store
    framework_name: str
    where: str  # words for messages: where the store is
    value: str | None = None
    _is_reset: bool = False

    async def load(self) -> None:
        record = await self.store.get(FRAMEWORK_ID)
        self.value = record.value if record and record.value != RESET else None
        self._is_reset = record is not None and record.value == RESET

    def require_if_bound(self, bound_pods: list[str]) -> None:
        """FrameworkIdMissing when pods of ours are bound and nobody asked for a new framework id."""
        if self.value is not None or self._is_reset or not bound_pods:
            return
        named = ", ".join(sorted(bound_pods)[:MAX_NAMED_PODS])
        raise FrameworkIdMissing(
            f"{len(bound_pods)} pods are bound by this scheduler ({named}), but {self.where} holds no framework id;"
            f" a new one would leave their tasks to a framework that nobody drives. Restore {self.where}/{FRAMEWORK_ID}"
            f" from a backup, or take the id of {self.framework_name!r} from the Mesos master's page:"
            f" km framework adopt ID. If that framework is gone for good: km framework reset --confirm {NONE}"
        )

    async def subscribed(self, framework_id: str) -> None:
        """Store what the first SUBSCRIBED brought, before anything else is done with it."""
        if self.value == framework_id:
            return
        if self.value is not None:
            raise ProtocolError(
                f"Mesos subscribed us as {framework_id!r}, we asked for {self.value!r};"
                " check that --mesos-master names one cluster only"
            )
        record = await self.store.get(FRAMEWORK_ID)
        await self.store.put(FRAMEWORK_ID, framework_id, record.revision if record else 0)
        self.value = framework_id
        self._is_reset = False


async def reset_framework_id(store: Store, confirmed: str) -> str:
    """Forget the framework id, on purpose; what it was. Mismatched: it is not the one that was `confirmed`."""
    record = await store.get(FRAMEWORK_ID)
    found = (record.value if record else "") or NONE
    if found != confirmed:
        raise Mismatched(f"the framework id that is stored is {found}, not {confirmed}; nothing was changed")
    await store.put(FRAMEWORK_ID, RESET, record.revision if record else 0)
    return found


async def adopt_framework_id(store: Store, framework_id: str) -> bool:
    """Store an id that Mesos knows; False: it is there already. Mismatched: another one is."""
    record = await store.get(FRAMEWORK_ID)
    found = record.value if record else RESET
    if found == framework_id:
        return False
    if found != RESET:
        raise Mismatched(
            f"framework id {found} is stored, and {framework_id} is another; nothing was changed."
            f" If {found} is gone for good: km framework reset --confirm {found}"
        )
    await store.put(FRAMEWORK_ID, framework_id, record.revision if record else 0)
    return True
