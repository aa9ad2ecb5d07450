"""What the demo shows in the end: a table of pods and times, and how to go on. Makes lines; looks at nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from demo import objects
from demo.cluster import Sight
from demo.schedulers import Succession
from demo.steps import elapsed


def pods(sights: Sequence[Sight]) -> Iterator[str]:
    """One line a pod, times since its creation was seen."""
    rows = [("POD", "NODE", "ADDRESS", "BOUND AFTER", "RUNNING AFTER", "PHASE")]
    rows += [
        (
            each.name,
            each.node or "-",
            each.address or "-",
            since(each, each.bound),
            since(each, each.running),
            each.phase,
        )
        for each in sights
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    times = sorted(each.running - each.created for each in sights if each.running is not None)
    if times:
        middle = statistics.median(times)
        yield (
            f"  created to Running, {len(times)} pods, as the API's watch tells: "
            f"{_ms(times[0])} at least, {_ms(middle)} median, {_ms(times[-1])} at most"
        )


def since(sight: Sight, moment: float | None) -> str:
    return "-" if moment is None else _ms(moment - sight.created)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def succession(seen: Succession, containers: int, next_pod_s: float) -> Iterator[str]:
    """What the death of the leading scheduler has changed: nothing but who leads."""
    old, new = seen.terms
    yield f"  {seen.killed} led in term {old}; {elapsed(seen.took_s)} after its end {seen.successor} led in term {new}"
    yield f"  {containers} containers ran on: the same ids, no restart; {seen.killed} is started again and stands by"
    yield f"  {seen.successor} has placed a pod: Running {elapsed(next_pod_s)} after it was asked for"


def how_to_go_on(state: Path, exports: Mapping[str, str], address: str, total_s: float) -> Iterator[str]:
    """What to type next. `exports`: the testbed's variables that are not the default; `address`: of a web pod."""
    testbed = "python3 -m testbed"
    commands = (
        (f'eval "$({testbed} env)"', "sets KUBECONFIG, and a kubectl that works from here"),
        ("kubectl get pods -o wide", ""),
        (f"kubectl scale deployment {objects.WEB} --replicas=12", ""),
        (f"kubectl describe pod {objects.TOO_BIG}", "its events say why it waits"),
        (f"{testbed} run s1 km status", "the scheduler's own view"),
        (f"{testbed} run s1 km explain {objects.NAMESPACE}/{objects.TOO_BIG}", ""),
        (f"{testbed} run s1 journalctl -fu km-scheduler", "its log"),
        (f"{testbed} lab curl -s http://{address}:{objects.PORT}/", "a pod's page"),
        (f"{testbed} lab curl -s $MESOS_MASTER/tasks", "the tasks that Mesos knows"),
        (f"{testbed} run s1 systemctl kill -s USR1 --kill-whom=main km-scheduler", "if s1 leads, another takes over"),
        (f"{testbed} kill s1", "power cut of a scheduler's host; `start s1` boots it again"),
        (f"{testbed} kill h1", "power cut of an agent; `start h1` boots it again"),
        (f"{testbed} --help", "what else can be done to hosts"),
        ("make demo", "again, from what is there"),
    )
    yield f"All of it took {elapsed(total_s)}, and stays up. How to go on, in {Path.cwd()}:"
    yield f"  KUBECONFIG={state / 'kube' / 'admin.kubeconfig'}"
    if exports:
        yield f"  export {' '.join(f'{name}={value}' for name, value in exports.items())}"
    yield from (_command(text, note) for text, note in commands)
    yield "How to end:"
    yield _command(f"{testbed} down", "hosts and peers; what was built stays in the cache")


def _command(text: str, note: str) -> str:
    return f"  {text:<62}  # {note}" if note else f"  {text}"
