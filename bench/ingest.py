"""Offers from the bytes of Mesos' stream to what a cycle looks up: ours against json.loads and plain dicts.

`json.loads` alone finds the records, and makes dicts that nothing can be asked; "dicts" also sums up each offer's
resources in thousandths and files it by agent, as little as any scheduler must do.  pymesos is measured where it can be
imported.

What an agent tells of its resources and attributes is read once for the same bytes, so offers come in three kinds: of
agents that are all alike, of agents of which each has another amount free and another rack and that were never heard
of, and of those again, as they come back after each decline.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import messages
from bench.report import REPEATS, keep, spread
from kmsched.core.offers import OfferLedger
from kmsched.daemon.main import COLLECTED_AFTER
from kmsched.wire.mesos import Offers, scheduler_event
from kmsched.wire.offers import decode_offer
from kmsched.wire.recordio import Decoder, encode

OFFERS = 10_000
ALIKE, UNHEARD, AGAIN = "all alike", "none alike, never heard of", "none alike, heard of before"
#: offers in one event
SIZES = (1, 100, 1000, 5000)
CHUNK = 64 * 1024
MILLI = 1000


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
        for offer in json.loads(record)["offers"]["offers"]:
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
    return len(by_agent)


def pymesos() -> str:
    """Why it is not measured."""
    try:
        importlib.import_module("pymesos")
    except ImportError as error:
        return f"not measured, it cannot be imported: {error}"
    return "not measured: it drives a socket of its own and has no decoder that could be called"


def main(repeats: int = REPEATS) -> None:
    gc.set_threshold(*COLLECTED_AFTER)
    for kind in (ALIKE, UNHEARD, AGAIN):
        for size in SIZES:
            keep("ingest", f"{size} in an event, {kind}", _measured(size, kind, repeats))


def _measured(size: int, kind: str, repeats: int) -> dict[str, Any]:
    runs: dict[str, Callable[[list[bytes]], int]] = {"ours": ours, "json.loads": json_loads, "dicts": dicts}
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
        "cpu_seconds_per_offer": {name: spread([each / OFFERS for each in values]) for name, values in seconds.items()},
        **ratios,
        "pymesos": pymesos(),
    }
