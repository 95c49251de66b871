"""The page that shows a run, what it is sent, and its two buttons: see docs/monitoring.md.

A browser has a token of its own, that is good for this alone. The page has no data in it, and needs
none; its script gets the token from the link's fragment, which no browser sends anywhere, and sends
it as a header.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from elephas_torch import page
from elephas_torch.errors import Refused
from elephas_torch.parameter.guard import Guard
from elephas_torch.parameter.http import Response
from elephas_torch.parameter.state import State
from elephas_torch.parameter.story import Marks

#: Watchers at once.
MOST = 20
#: Seconds between two pieces of news; without any, so many such times until a sign of life.
EVERY, SILENT = 1.0, 5
#: Seconds that the end of a run waits for watchers to be told of it.
FAREWELL = 0.5
_SHORT_BODY = 1024
ROUTES = {("GET", "/"), ("GET", "/watch"), ("POST", "/stop")}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Watching:
    """Answers those who look on.

    Args:
        state: what they look at.
        token: a watcher's bearer token.
        guard: knows strangers.
        trusts: whether the value of an authorization header is a worker's, who may look on as well.
    """

    def __init__(
        self, state: State, token: str, guard: Guard, trusts: Callable[[bytes], bool]
    ) -> None:
        self._state, self._guard, self._trusts = state, guard, trusts
        self._authorization = f"Bearer {token}".encode()
        self._watchers: set[asyncio.Event] = set()
        self._gone = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many look on just now."""
        return len(self._watchers)

    async def answer(
        self, method: str, path: str, scope: Message, receive: Receive, send: Send
    ) -> None:
        """Answers one of `ROUTES`.

        Raises:
            Refused: the token is missing or wrong, or there are too many who look on.
        """
        given = dict(scope["headers"]).get(b"authorization", b"")
        known = hmac.compare_digest(given, self._authorization) | self._trusts(given)
        if not known:
            await self._guard.stranger(scope["client"], path != "/")
        if path == "/":
            await _respond(send, _page())
            return
        if not known:
            raise Refused("Wrong or missing token: open the page by the link of this run.", 401)
        if path == "/stop":
            await self._stop(receive, send)
        else:
            await self._watch(receive, send)

    async def farewell(self) -> None:
        """Waits, not for long, until all who look on have the last news."""
        for one in self._watchers:
            one.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._all_gone(), FAREWELL)

    async def _all_gone(self) -> None:
        while self._watchers:
            self._gone.clear()
            await self._gone.wait()

    async def _stop(self, receive: Receive, send: Send) -> None:
        now = _asked_now(await _body(receive))
        stops = self._state.story.about.get("stops", "both")
        if stops == "none" or (stops == "after" and now):
            raise Refused(
                "The workers of this run exchange among themselves, and can't be stopped so.", 409
            )
        await asyncio.to_thread(self._state.stop, now)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await _respond(send, Response(200, headers, [b"{}"]))

    async def _watch(self, receive: Receive, send: Send) -> None:
        if len(self._watchers) >= MOST:
            raise Refused(f"{MOST} pages look on already: close one of them.", 429)
        ended = asyncio.Event()
        self._watchers.add(ended)
        leaving = asyncio.ensure_future(_left(receive))
        try:
            headers = [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._tell(send, ended, leaving)
            if not leaving.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            self._watchers.discard(ended)
            self._gone.set()

    async def _tell(self, send: Send, ended: asyncio.Event, leaving: asyncio.Future[None]) -> None:
        """Sends what is new; `send` waits for who reads slowly, and skips what is new meanwhile."""
        marks, silent, over = Marks(), 0, False
        while not over and not leaving.done():
            over = self._state.story.over
            news = self._state.story.news(self._state, marks)
            silent = silent + 1 if len(news) == 1 else 0
            if silent == 0 or silent >= SILENT:
                silent = 0
                text = json.dumps(news, allow_nan=False, separators=(",", ":"))
                await send(
                    {
                        "type": "http.response.body",
                        "body": f"data: {text}\n\n".encode(),
                        "more_body": True,
                    }
                )
            if over:
                return
            waiting = asyncio.ensure_future(ended.wait())
            both: set[asyncio.Future[Any]] = {waiting, leaving}
            await asyncio.wait(both, timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()


@functools.cache
def _page() -> Response:
    body = page.document().encode()
    headers = [*page.headers(), ("content-length", str(len(body)))]
    return Response(200, [(name.encode(), value.encode()) for name, value in headers], [body])


def _asked_now(body: bytes) -> bool:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not isinstance(asked.get("now"), bool) or len(asked) != 1:
        raise Refused('What stops a run is {"now": true} or {"now": false}.')
    return bool(asked["now"])


async def _body(receive: Receive) -> bytes:
    found, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("The connection ended before the request was whole.")
        found += message.get("body", b"")
        more = message.get("more_body", False)
        if len(found) > _SHORT_BODY:
            raise Refused(f"A request here has at most {_SHORT_BODY} bytes.", 413)
    return found


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _respond(send: Send, response: Response) -> None:
    start = {"type": "http.response.start", "status": response.status}
    await send({**start, "headers": response.headers})
    await send({"type": "http.response.body", "body": bytes(response.body[0])})
