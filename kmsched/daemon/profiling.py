"""Pages for who looks for a stuck task or a leak, with `--profiling` only: stacks, and who holds memory.

Knows the interpreter and nothing of scheduling.  Memory is traced while `traced` serves, which costs some of
both time and memory; without the flag nothing is.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Iterator

from aiohttp import web

from kmsched.daemon.web_access import Right
from kmsched.daemon.web_routes import GET, Route

STACKS, MEMORY = "/debug/stacks", "/debug/memory"
#: frames that an allocation is remembered with: the page names one
FRAMES = 1
MAX_LINES = 50
MIB = 1024 * 1024


def routes() -> list[Route]:
    return [Route(GET, STACKS, Right.READ, _stacks), Route(GET, MEMORY, Right.READ, _memory)]


async def traced(_: web.Application) -> AsyncIterator[None]:
    """A part of the server's life, from its start to its end."""
    tracemalloc.start(FRAMES)
    yield
    tracemalloc.stop()


async def _stacks(_: web.Request) -> web.Response:
    return web.Response(text="\n".join([*_tasks(), *_threads()]) + "\n")


async def _memory(_: web.Request) -> web.Response:
    snapshot = await asyncio.to_thread(tracemalloc.take_snapshot)
    held, peak = tracemalloc.get_traced_memory()
    lines = [f"{held / MIB:.1f} MiB held since the start of tracing, {peak / MIB:.1f} MiB at most"]
    for each in snapshot.statistics("lineno")[:MAX_LINES]:
        frame = each.traceback[0]
        lines.append(f"{each.size / 1024:10.1f} KiB {each.count:8} blocks  {frame.filename}:{frame.lineno}")
    return web.Response(text="\n".join(lines) + "\n")


def _tasks() -> Iterator[str]:
    for task in sorted(asyncio.all_tasks(), key=lambda each: each.get_name()):
        text = io.StringIO()
        task.print_stack(file=text)
        yield text.getvalue()


def _threads() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"Thread {names.get(ident, ident)}:"
        yield "".join(traceback.format_stack(frame))
