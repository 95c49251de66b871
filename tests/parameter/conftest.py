import threading
from contextlib import ExitStack

import pytest
import torch
import uvloop

from elephas_torch import optimizers
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, InMemoryClient, Settings
from elephas_torch.parameter.process import listen
from elephas_torch.parameter.state import State

torch.set_num_threads(1)
TOKEN = "a token of these tests"


def _vectors(parameters, state=(), counters=()):
    return Vectors(
        torch.tensor(parameters, dtype=torch.float32),
        torch.tensor(state, dtype=torch.float32),
        torch.tensor(counters, dtype=torch.int64),
    )


def _settings(mode, initial, optimizer=None, **more):
    rule = optimizers.serialize(optimizer or optimizers.SGD(1.0))
    return Settings(mode, initial.sizes, rule, **more)


class LocalServer:
    """The real HTTP server on a real socket, in a thread of this process."""

    def __init__(self, state, limits=None, identity=None, page_token=None):
        from elephas_torch.parameter.server import Application, uvicorn_server
        from elephas_torch.parameter.tls import server_context

        self.state, self.token = state, TOKEN
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.certificate = identity and identity.own
        self.url = f"{'https' if identity else 'http'}://127.0.0.1:{self.port}"
        self.application = Application(state, TOKEN, limits, page_token=page_token)
        context = identity and server_context(identity)
        self.server = uvicorn_server(self.application, context)
        self.thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self.thread.start()

    async def _serve(self):
        import asyncio

        ticking = asyncio.create_task(self.application.tick())
        await self.server.serve(sockets=[self.listener])
        ticking.cancel()

    def client(self, **more):
        return Client(self.url, TOKEN, ssl_certificate=self.certificate, **more)

    def close(self):
        self.state.control(stop=True)
        self.server.force_exit = self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def vectors():
    """vectors([1., 2.], state, counters) -> Vectors"""
    return _vectors


@pytest.fixture
def settings():
    """settings(mode, initial, optimizer, **more) -> Settings; by default SGD(1.0)"""
    return _settings


@pytest.fixture
def local_server():
    """local_server(state, limits, identity, page_token) -> LocalServer, closed at the end"""
    with ExitStack() as stack:

        def start(state, *more):
            server = LocalServer(state, *more)
            stack.callback(server.close)
            return server

        yield start


class SharingClient(Client):
    """A client that shares memory with the server as soon as it has joined."""

    link = None

    def join(self, worker, attempt, **more):
        joined = super().join(worker, attempt, **more)
        if more["samples"]:
            self.link = self.share(worker, attempt, self.sizes)
            assert self.link.name == "memory"
        return joined

    def pull(self, into, version=-1):
        # A slot's link pulls over HTTP, by this very method.
        by_itself = self.link is not None and self.link.parameters is not None
        return self.link.pull(into, version) if by_itself else super().pull(into, version)

    def exchange(self, push, update, into):
        return (self.link or super()).exchange(push, update, into)


@pytest.fixture(params=["memory", "http", "shared"])
def served(request, local_server):
    """served(settings, initial) -> a function that makes clients; in memory, over HTTP, and by
    memory that client and server share"""
    with ExitStack() as stack:

        def start(settings, initial):
            state = State(settings, initial)
            if request.param == "memory":
                return lambda: InMemoryClient(state, timeout=20)
            server = local_server(state)

            def client():
                made = (Client if request.param == "http" else SharingClient)(
                    server.url, TOKEN, timeout=20
                )
                made.sizes = initial.sizes
                stack.callback(made.close)
                return made

            return client

        yield start


@pytest.fixture
def together():
    """together(f, g, ...) runs each in a thread; returns their results, raises what they raise"""

    def run(*functions):
        results = [None] * len(functions)
        errors = []

        def call(index, function):
            try:
                results[index] = function()
            except BaseException as error:
                errors.append(error)

        threads = [
            threading.Thread(target=call, args=pair, daemon=True) for pair in enumerate(functions)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "it hangs"
        if errors:
            raise errors[0]
        return results

    return run
