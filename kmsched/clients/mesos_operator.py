"""The Mesos master as an operator asks it: who leads, what it knows, what it refuses. Nothing here changes anything.

Knows masters, redirects and credentials.  Refuses to know what the answers are good for; agents are asked by the
address that the master tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from kmsched.clients.http import Request, Response, Transport
from kmsched.clients.mesos import MAX_REDIRECTS, SCHEDULER_API, Credentials, redirected
from kmsched.errors import Forbidden, Invalid, KmError, Unavailable
from kmsched.wire import mesos_operator as wire
from kmsched.wire.mesos_operator import Answer

OPERATOR_API = "/api/v1"
CALL_DEADLINE_S = 10.0
_JSON = "application/json"


class MesosOperator:
    """Calls to whichever of `masters` (base URLs) leads; they may come at once, in any order."""

    def __init__(
        self,
        masters: Sequence[str],
        *,
        transport: Transport,
        credentials: Credentials | None = None,
        deadline_s: float = CALL_DEADLINE_S,
    ) -> None:
        self.masters = tuple(masters)
        self._transport = transport
        self._credentials = credentials
        self._deadline_s = deadline_s

    @property
    def principal(self) -> str | None:
        return self._credentials.principal if self._credentials else None

    def renew(self, credentials: Credentials) -> None:
        """For every call from now on."""
        self._credentials = credentials

    async def ask(self, kind: type[Answer]) -> Answer:
        """What the leading master knows.

        Unavailable: no master answers, or none leads.  Forbidden: it does not tell us.  Invalid: it does not know
        such a call.
        """
        failures: list[str] = []
        for master in self.masters:
            try:
                reply = await self._led("POST", master + OPERATOR_API, wire.call(kind))
            except Unavailable as error:
                failures.append(str(error))
                continue
            return wire.answer(kind, reply.body)
        raise Unavailable("; ".join(failures))

    async def version(self, url: str) -> str:
        """Of the master or agent at this base URL.  Errors as for `ask`."""
        reply = await self.get(f"{url}/version")
        return wire.version(reply.body)

    async def agent_flags(self, agent: wire.Agent) -> dict[str, str]:
        """Errors as for `ask`."""
        reply = await self.get(f"{self.agent_url(agent)}/flags")
        return wire.agent_flags(reply.body)

    def agent_url(self, agent: wire.Agent) -> str:
        """`slave(1)@10.0.0.1:5051` is an URL: the agent's process and where it listens."""
        process, _, address = agent.pid.partition("@")
        scheme = urlsplit(self.masters[0]).scheme
        return f"{scheme}://{address}/{process}"

    async def refusal_of_credentials(self) -> str | None:
        """Why the leading master would not take SUBSCRIBE from us; None: it looks at what we would subscribe.

        A GET is never a call of a scheduler: the master authenticates it, and then says 405.
        """
        failures: list[str] = []
        for master in self.masters:
            request = Request("GET", master + SCHEDULER_API, self._headers())
            try:
                reply = await self._transport.call(request, deadline_s=self._deadline_s)
            except Unavailable as error:
                failures.append(str(error))
                continue
            if reply.status in (401, 403):
                return f"the Mesos master {request.host} answered {reply.status}: {reply.text()}"
            if reply.status < 500 and reply.status != 404:
                return None
            failures.append(f"{request.host} answered {reply.status}: {reply.text()}")
        raise Unavailable("; ".join(failures))

    async def reach_leader(self) -> None:
        """Returns when the leading master has let us in.

        Unavailable: no master answers, or none leads.  Forbidden: it does not take our credentials.
        """
        failures: list[str] = []
        for master in self.masters:
            try:
                await self._led("GET", master + SCHEDULER_API)
            except Unavailable as error:
                failures.append(str(error))
            except Invalid:
                return  # 405: a GET is never a call of a scheduler
        raise Unavailable("; ".join(failures) or f"{self.masters[0]} takes a GET for a call of a scheduler")

    async def get(self, url: str) -> Response:
        """A 200 answer of a master or agent.  Errors as for `ask`.

        Without credentials: the address may be one that the master tells, and the secret is for masters alone.
        """
        request = Request("GET", url, {"accept": _JSON})
        return _checked(request, await self._transport.call(request, deadline_s=self._deadline_s))

    async def _led(self, method: str, url: str, body: bytes | None = None) -> Response:
        content = {} if body is None else {"content-type": _JSON}
        for _ in range(MAX_REDIRECTS + 1):
            request = Request(method, url, {**self._headers(), **content}, body)
            reply = await self._transport.call(request, deadline_s=self._deadline_s)
            location = reply.headers.get("location", "")
            if not 300 <= reply.status < 400 or not location:
                return _checked(request, reply)
            url = redirected(url, location)
        raise Unavailable(f"more than {MAX_REDIRECTS} redirects, the last to {url}")

    def _headers(self) -> dict[str, str]:
        headers = {"accept": _JSON}
        if self._credentials is not None:
            headers["authorization"] = self._credentials.header()
        return headers


def _checked(request: Request, reply: Response) -> Response:
    if reply.status == 200:
        return reply
    said = f"{request.host} answered {reply.status}: {reply.text()}"
    kinds: dict[int, type[KmError]] = {401: Forbidden, 403: Forbidden, 400: Invalid, 405: Invalid, 501: Invalid}
    raise kinds.get(reply.status, Unavailable)(said)
