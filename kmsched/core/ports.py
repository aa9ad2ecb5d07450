"""Ranges of host ports as Mesos offers them, all protocols in one space of numbers.

Knows arithmetic on ranges and how they read.  Which ports a pod wants is told by the pod.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: (first, last), both included; ascending, and never side by side
Ports = tuple[tuple[int, int], ...]
NO_PORTS: Ports = ()
#: ranges that words name before they only count
MAX_NAMED = 4


def merged(ranges: Iterable[tuple[int, int]]) -> Ports:
    """Any ranges in their one normal form; one that ends before it begins holds nothing."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if last < first:
            continue
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def of_numbers(numbers: Iterable[int]) -> Ports:
    return merged((number, number) for number in numbers)


def holds(ports: Ports, number: int) -> bool:
    return any(first <= number <= last for first, last in ports)


def without(ports: Ports, numbers: Iterable[int]) -> Ports:
    """What is left when these are taken."""
    for number in numbers:
        left: list[tuple[int, int]] = []
        for first, last in ports:
            if first <= number <= last:
                left += [part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]]
            else:
                left.append((first, last))
        ports = tuple(left)
    return ports


def lowest(ports: Ports, count: int, besides: Collection[int] = ()) -> tuple[int, ...]:
    """The `count` lowest of them that are not in `besides`; fewer if there are not so many."""
    found: list[int] = []
    for first, last in ports:
        for number in range(first, last + 1):
            if len(found) == count:
                return tuple(found)
            if number not in besides:
                found.append(number)
    return tuple(found)


def words(ports: Ports) -> str:
    """ "31000-31004, 31006"; "none"."""
    named = [str(first) if first == last else f"{first}-{last}" for first, last in ports[:MAX_NAMED]]
    if len(ports) > MAX_NAMED:
        named.append(f"{len(ports) - MAX_NAMED} ranges more")
    return ", ".join(named) or "none"
