"""What the filters say of each pending pod on each Node, line by line: `{"nodes": [], "pods": [], "pending": []}` in,
`[{"<node>": "" | "<Filter>: <reason>"}]` out.

Each pod is judged on its own, against the state that its line gives.  Only what kube-scheduler asks is asked, so
nothing of ours is added: no default requests, no executor, and no taint is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec
from msgspec import Raw, Struct

from kmsched.core.fit import NODE_FILTERS, first_objection
from kmsched.core.model import Settings
from kmsched.errors import ConfigRefused, ProtocolError
from kmsched.whatif.places import places
from kmsched.wire.kube import decode_node, decode_pod
from kmsched.wire.typed import UNDECODABLE

#: one line may hold a large cluster; a device without line breaks never ends
MAX_LINE_BYTES = 512 << 20
SETTINGS = Settings(executor_id="", ignored_taints=frozenset())

Verdicts = list[dict[str, str]]


class Case(Struct):
    """One line. null is what Go writes for a list without items."""

    nodes: list[Raw] | None
    pending: list[Raw] | None
    pods: list[Raw] | None = None


_decoder = msgspec.json.Decoder(Case)


def answers(lines: BinaryIO, where: str) -> Iterator[Verdicts]:
    """One for each line that is not blank. ConfigRefused names the line that cannot be read, and what is wrong."""
    number = 0
    while line := lines.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise ConfigRefused(f"{where}, line {number}: it has more than {MAX_LINE_BYTES >> 20} MiB; split it")
        if not line.strip():
            continue
        try:
            yield verdicts(line)
        except (ProtocolError, ConfigRefused) as error:
            raise ConfigRefused(f"{where}, line {number}: {error}") from None


def verdicts(line: bytes) -> Verdicts:
    """Of each pending pod, by the name of the Node; "": it fits. ProtocolError, ConfigRefused: what is wrong."""
    try:
        case = _decoder.decode(line)
    except UNDECODABLE as error:
        raise ProtocolError(
            f'{error}; a line is one JSON object like {{"nodes": [Node], "pods": [Pod], "pending": [Pod]}}'
        ) from None
    there = places(map(decode_node, _each(case.nodes)), map(decode_pod, _each(case.pods))).values()
    found = []
    for pod in map(decode_pod, _each(case.pending)):
        objections = ((place, first_objection(NODE_FILTERS, pod, place, SETTINGS)) for place in there)
        found.append({place.node_name: f"{veto.filter}: {veto.reason}" if veto else "" for place, veto in objections})
    return found


def _each(listed: list[Raw] | None) -> Iterable[Raw]:
    return listed or ()
