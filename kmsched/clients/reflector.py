"""A faithful copy of one Kubernetes collection, as a sequence of changes: list, then watch, again and again.

Knows pages, bookmarks, resource versions and 410.  Refuses to know what the objects are (a `decode` callable is
passed in) and to keep them: the reader holds the state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct

from kmsched.clients.backoff import Backoff
from kmsched.clients.kube import LIST_DEADLINE_S, KubeClient
from kmsched.clock import Clock
from kmsched.errors import Fatal, Gone, KmError, ProtocolError, Unavailable
from kmsched.wire.typed import UNDECODABLE, decode

PAGE_ITEMS = 500
#: 5 million objects: an API server that never ends a list is not believed.
MAX_PAGES = 10_000
#: An object is at most some 1.5 MB in etcd, and so in a watch.
MAX_LINE_BYTES = 8 * 1024 * 1024
#: The API server ends a watch after a random time from one to two times this.
WATCH_S = 240
#: Bookmarks come every minute; a stream without any sign for so long is held to be broken.
WATCH_IDLE_S = 90.0
RETRY_BASE_S = 0.1
RETRY_CAP_S = 10.0
#: A watch that ends sooner than this, and brought nothing, is a failure to back off from.
SHORT_WATCH_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """The whole collection: what the reader held and is not among `items` is gone."""

    items: tuple[T, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """One change; for DELETED `object` is its last state.  May come twice after a reconnection."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: T


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch stands: what changes from now on will be told."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The copy grows old until the next item; the reflector goes on by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Undecodable:
    """One object that `decode` refused; it is left out, the others are not held up by it."""

    reason: str


class _Meta(Struct):
    resourceVersion: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    name: str = ""
    namespace: str = ""


class _List(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    items: list[Raw] | None = None


class _Event(Struct):
    type: str
    object: Raw


class _Object(Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Status(Struct):
    code: int = 0
    message: str = ""


Item: TypeAlias = Listed[T] | Changed[T] | Watching | Interrupted | Undecodable

_list_decoder = msgspec.json.Decoder(_List)
_event_decoder = msgspec.json.Decoder(_Event)
_object_decoder = msgspec.json.Decoder(_Object)
_status_decoder = msgspec.json.Decoder(_Status)


class Reflector(Generic[T]):
    """The collection at `path` (`/api/v1/pods`), its objects as `decode` makes them of JSON bytes.

    `decode` raises ProtocolError for an object that it cannot take.
    """

    def __init__(
        self,
        kube: KubeClient,
        path: str,
        *,
        decode: Callable[[bytes], T],
        clock: Clock,
        rng: Random,
        field_selector: str | None = None,
        label_selector: str | None = None,
    ) -> None:
        self._kube = kube
        self._path = path
        self._decode = decode
        self._clock = clock
        self._rng = rng
        selectors = {"fieldSelector": field_selector, "labelSelector": label_selector}
        self._selectors = {name: value for name, value in selectors.items() if value}
        self._backoff = Backoff(RETRY_BASE_S, RETRY_CAP_S, rng)
        #: where to go on watching; None: list first
        self._version: str | None = None

    async def changes(self) -> AsyncGenerator[Item[T], None]:
        """The collection and its changes, for ever.  Only Fatal errors but ProtocolError come through."""
        while True:
            async with aclosing(self.one_round()) as items:
                async for item in items:
                    yield item

    async def one_round(self) -> AsyncGenerator[Item[T], None]:
        """One list, if one is due, and one watch to its end; waits afterwards if that went badly."""
        started = self._clock.monotonic()
        fruitful = False
        reason = "the watch ended at once"
        try:
            if self._version is None:
                items, refused, self._version = await self._list()
                for each in refused:
                    yield each
                yield Listed(items, self._version)
            async with aclosing(self._watch()) as changes:
                async for change in changes:
                    fruitful = fruitful or not isinstance(change, Watching)
                    if change is not None:
                        yield change
            failed = not fruitful and self._clock.monotonic() - started < SHORT_WATCH_S
        except Gone as error:
            self._version = None
            failed, reason = True, f"{error}; listing again"
        except ProtocolError as error:
            # What was meant by the garbage is unknown, so what is held can be trusted no more.
            self._version = None
            failed, reason = True, str(error)
        except Fatal:
            raise
        except KmError as error:
            failed, reason = True, str(error)
        if fruitful or not failed:
            self._backoff.reset()
        if failed:
            yield Interrupted(f"{self._path}: {reason}")
            await self._clock.sleep(self._backoff.next_s())

    async def _list(self) -> tuple[tuple[T, ...], list[Undecodable], str]:
        items: list[T] = []
        refused: list[Undecodable] = []
        query = {"limit": str(PAGE_ITEMS), **self._selectors}
        for _ in range(MAX_PAGES):
            body = await self._kube.request("GET", self._path, query=query, deadline_s=LIST_DEADLINE_S)
            page = decode(_list_decoder, body, "a list")
            for raw in page.items or ():
                try:
                    items.append(self._decode(bytes(raw)))
                except ProtocolError as error:
                    refused.append(_undecodable(bytes(raw), error))
            if not page.metadata.continue_:
                if not page.metadata.resourceVersion:
                    raise ProtocolError(f"the list of {self._path} has no metadata.resourceVersion")
                return tuple(items), refused, page.metadata.resourceVersion
            query["continue"] = page.metadata.continue_
        raise ProtocolError(f"the list of {self._path} did not end after {MAX_PAGES} pages")

    async def _watch(self) -> AsyncGenerator[Changed[T] | Undecodable | Watching | None, None]:
        """Changes from the last version on; None for a bookmark.  Gone: list again."""
        query = {
            "watch": "1",
            "resourceVersion": self._version or "",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._rng.randint(WATCH_S, 2 * WATCH_S)),
            **self._selectors,
        }
        async with self._kube.stream(self._path, query=query, idle_s=WATCH_IDLE_S) as reply:
            yield Watching()
            lines = LineSplitter()
            async for chunk in reply.chunks():
                for line in lines.feed(chunk):
                    yield self._change(line)

    def _change(self, line: bytes) -> Changed[T] | Undecodable | None:
        event = decode(_event_decoder, line, "a watch event")
        raw = bytes(event.object)
        if event.type == "ERROR":
            status = decode(_status_decoder, raw, "the status of an ERROR event")
            if status.code == 410:
                raise Gone(status.message)
            raise Unavailable(f"the watch was ended with {status.code}: {status.message}")
        version = decode(_object_decoder, raw, "an object of a watch event").metadata.resourceVersion
        if not version:
            raise ProtocolError(f"a watch event of {self._path} has no metadata.resourceVersion")
        self._version = version
        if event.type not in ("ADDED", "MODIFIED", "DELETED"):
            # BOOKMARK, and whatever a newer API server may add.
            return None
        try:
            return Changed(event.type, self._decode(raw))  # type: ignore[arg-type]
        except ProtocolError as error:
            return _undecodable(raw, error)


class LineSplitter:
    """Lines from chunks of any size; what follows the last newline waits for more."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """The lines that `chunk` completes, empty ones left out.  ProtocolError: one is too long."""
        if b"\n" not in chunk:
            lines: list[bytes] = []
            self._rest += chunk
        else:
            first, *others = chunk.split(b"\n")
            lines = [bytes(self._rest) + first, *others[:-1]]
            self._rest = bytearray(others[-1])
        if len(self._rest) > self._max_line_bytes or any(len(line) > self._max_line_bytes for line in lines):
            raise ProtocolError(f"a watch event is longer than {self._max_line_bytes} bytes")
        return [line for line in lines if line.strip()]


def _undecodable(raw: bytes, error: ProtocolError) -> Undecodable:
    try:
        meta = _object_decoder.decode(raw).metadata
    except UNDECODABLE:
        return Undecodable(f"an object without a readable name is left out: {error}")
    return Undecodable(f"{meta.namespace}/{meta.name} is left out: {error}")
