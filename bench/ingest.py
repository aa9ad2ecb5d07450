"""Offers from the bytes of Mesos' stream to what a cycle looks up: ours against json.loads and plain dicts.

`json.loads` alone finds the records, and makes dicts that nothing can be asked; "dicts" also sums up each offer's
resources in thousandths and files it by agent, as little as any scheduler must do.  So does "pymesos" with what its
driver tells a scheduler; it reads chunked HTTP, with a parser in C, the others what is in it.

What an agent tells of its resources and attributes is read once for the same bytes, so offers come in three kinds: of
agents that are all alike, of agents of which each has another amount free and another rack and that were never heard
of, and of those again, as they come back after each decline.
"""

from __future__ import annotations

import gc
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from bench import messages, pymesos_driver
from bench.report import REPEATS, keep, spread
from kmsched.core.offers import OfferLedger
from kmsched.daemon.main import COLLECTED_AFTER
from kmsched.wire.mesos import Offers, scheduler_event
from kmsched.wire.offers import decode_offer
from kmsched.wire.recordio import Decoder, encode
from testbed.errors import LabError
from testbed.settings import from_environment

OFFERS = 10_000
ALIKE, UNHEARD, AGAIN = "all alike", "none alike, never heard of", "none alike, heard of before"
#: offers in one event
SIZES = (1, 100, 1000, 5000)
CHUNK = 64 * 1024
MILLI = 1000

#: how many offers, or agents, it has found
Run = Callable[[list[bytes]], int]


def stream(size: int, kind: str, turn: int, offers: int = OFFERS) -> list[bytes]:
    """The chunks of a subscription that brings so many offers, `size` in an event; each turn has offers of its own."""
    made = bytearray()
    for first in range(0, offers, size):
        told = [_offer(number, kind, turn) for number in range(first, first + size)]
        made += encode(json.dumps({"type": "OFFERS", "offers": {"offers": told}}).encode())
    return [bytes(made[at : at + CHUNK]) for at in range(0, len(made), CHUNK)]


def _offer(number: int, kind: str, turn: int) -> dict[str, Any]:
    free = dict(messages.AGENT)
    if kind != ALIKE:
        free["mem"] -= number + (turn * OFFERS if kind == UNHEARD else 0)
    offer = messages.offer(f"F-O{turn}-{number}", f"agent-{number}", free)
    if kind != ALIKE:
        offer["attributes"][0]["text"]["value"] = f"r{number}-{turn if kind == UNHEARD else 0}"
    return offer


def ours(chunks: list[bytes]) -> int:
    ledger, decoder = OfferLedger(), Decoder()
    for chunk in chunks:
        for record in decoder.feed(chunk):
            event = scheduler_event(record)
            assert isinstance(event, Offers)
            for each in event.offers:
                ledger.add(decode_offer(each), 0.0)
    return len(ledger.agent_of)


def records(chunks: list[bytes]) -> Iterator[bytes]:
    """The plain way: a buffer that grows, and is cut after each record."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while b"\n" in buffer:
            digits, _, rest = buffer.partition(b"\n")
            length = int(digits)
            if len(rest) < length:
                break
            yield rest[:length]
            buffer = rest[length:]


def json_loads(chunks: list[bytes]) -> int:
    return sum(len(json.loads(record)["offers"]["offers"]) for record in records(chunks))


def dicts(chunks: list[bytes]) -> int:
    by_agent: dict[str, dict[str, Any]] = {}
    for record in records(chunks):
        _file(by_agent, json.loads(record)["offers"]["offers"])
    return len(by_agent)


def _file(by_agent: dict[str, dict[str, Any]], offers: Iterable[dict[str, Any]]) -> None:
    for offer in offers:
        amounts: dict[str, int] = {}
        ports = []
        for one in offer["resources"]:
            if one.get("reservations") or one.get("revocable") or one.get("disk"):
                continue
            if one["type"] == "SCALAR":
                amounts[one["name"]] = amounts.get(one["name"], 0) + math.floor(one["scalar"]["value"] * MILLI)
            elif one["name"] == "ports":
                ports += [(each["begin"], each["end"]) for each in one["ranges"]["range"]]
        attributes = {each["name"]: each.get("text") or each.get("scalar") for each in offer["attributes"]}
        by_agent.setdefault(offer["agent_id"]["value"], {})[offer["id"]["value"]] = (
            offer["hostname"],
            amounts,
            ports,
            attributes,
            frozenset(each["value"] for each in offer["executor_ids"]),
        )


def others() -> tuple[dict[str, Run], str]:
    """What ours is compared with; and why pymesos is not among them, if it cannot be installed."""
    runs: dict[str, Run] = {"json.loads": json_loads, "dicts": dicts}
    try:
        read = pymesos_driver.reader(pymesos_driver.folder(from_environment(os.environ).cache))
    except (LabError, ImportError, OSError) as error:
        return runs, f"not measured, it cannot be installed: {error}"

    def pymesos(chunks: list[bytes]) -> int:
        by_agent: dict[str, dict[str, Any]] = {}
        read(chunks, lambda offers: _file(by_agent, offers))
        return len(by_agent)

    return {**runs, "pymesos": pymesos}, f"{pymesos_driver.PACKAGES[0]}, its parser generated anew"


def main(repeats: int = REPEATS) -> None:
    gc.set_threshold(*COLLECTED_AFTER)
    compared, pymesos = others()
    for kind in (ALIKE, UNHEARD, AGAIN):
        for size in SIZES:
            result = _measured({"ours": ours, **compared}, size, kind, repeats)
            keep("ingest", f"{size} in an event, {kind}", {**result, "pymesos": pymesos})


def _measured(runs: Mapping[str, Run], size: int, kind: str, repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    if kind == AGAIN:
        ours(stream(size, kind, turn=0))
    for turn in range(1, repeats + 1):
        chunks = stream(size, kind, turn)
        for name, run in runs.items():
            gc.collect()
            began = time.process_time()
            if run(chunks) != OFFERS:
                raise SystemExit(f"{name}: offers were lost")
            seconds[name].append(time.process_time() - began)
    return _result(chunks, seconds)


def _result(chunks: list[bytes], seconds: dict[str, list[float]]) -> dict[str, Any]:
    ratios = {
        f"{name}_over_ours": spread([theirs / own for theirs, own in zip(seconds[name], seconds["ours"], strict=True)])
        for name in seconds
        if name != "ours"
    }
    return {
        "offers": OFFERS,
        "bytes_each": round(sum(map(len, chunks)) / OFFERS),
        "cpu_us_per_offer": {
            name: spread([1e6 * each / OFFERS for each in values]) for name, values in seconds.items()
        },
        **ratios,
    }
