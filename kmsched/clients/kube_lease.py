"""Whether a kube-scheduler is alive: the Lease by which its instances agree on a leader.

Knows that one object, and the words for what follows.  Two schedulers of one name both bind what they find, so that a
pod goes to whoever is first: nothing breaks, and people wonder.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct, field
from msgspec.json import Decoder

from kmsched.clients.kube import KubeClient
from kmsched.clients.kube_rights import COORDINATION, KUBE_SCHEDULER, KUBE_SYSTEM
from kmsched.errors import NotFound
from kmsched.wire.typed import decode

PATH = f"/apis/{COORDINATION}/v1/namespaces/{KUBE_SYSTEM}/leases/{KUBE_SCHEDULER}"
#: our clock and that of its holder may differ by so much
CLOCKS_S = 5.0
#: of a Lease that does not say how long it holds
DURATION_S = 15
WORDS = (
    "a kube-scheduler is alive ({holder}) and places pods with schedulerName {name} as well, unless its profiles have"
    " other names: each pod goes to whoever is first"
)
REMEDY = "stop it, or give --scheduler-name another name and the pods that schedulerName"


class _Spec(Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: datetime | None = None


class _Lease(Struct):
    spec: _Spec = field(default_factory=_Spec)


_decoder = Decoder(_Lease)


async def living_scheduler(kube: KubeClient, now_s: float) -> str:
    """Who holds it; "" nobody does. `now_s`: seconds since the epoch.  Forbidden: we may not read it."""
    try:
        body = await kube.request("GET", PATH)
    except NotFound:
        return ""
    spec = decode(_decoder, body, f"the answer to GET {PATH}").spec
    if not spec.holder_identity or spec.renew_time is None:
        return ""
    renewed = spec.renew_time if spec.renew_time.tzinfo else spec.renew_time.replace(tzinfo=UTC)
    ends_s = renewed.timestamp() + (spec.lease_duration_seconds or DURATION_S) + CLOCKS_S
    return spec.holder_identity if now_s < ends_s else ""
