"""How workers that add up among themselves find each other, through the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import torch.distributed as dist

from elephas_torch import device
from elephas_torch.cluster import own_address
from elephas_torch.device import Device
from elephas_torch.errors import Fenced, WaitTimeout
from elephas_torch.parameter.client import Client
from elephas_torch.plan import Gang
from elephas_torch.team import TEAMS, Parted, Team, backend

#: Seconds between two looks at who has come.
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Meeting:
    """One worker's way to the others.

    Attributes:
        client: the server's.
        number, attempt: this worker's.
        gang: which others are meant, and how long they are waited for.
        where: this worker's device.
    """

    client: Client
    number: int
    attempt: int
    gang: Gang
    where: Device = device.CPU

    def samples(self) -> dict[int, int]:
        """Waits until all have joined; worker -> samples of those that have some.

        Raises:
            WaitTimeout: not all came in time.
            Parted: one has failed, or all was stopped.
            Fenced: a newer attempt has joined.
        """
        settings = self.gang.settings

        def all_there(workers: dict[int, Any]) -> dict[int, int] | None:
            if len(workers) < settings.workers:
                return None
            return {key: one["samples"] for key, one in workers.items() if one["samples"]}

        def in_vain(workers: dict[int, Any]) -> str:
            came = ", ".join(map(str, sorted(workers))) or "none"
            return (
                f"Only {len(workers)} of {settings.workers} workers joined within "
                f"{settings.join_timeout:g} s (came: {came}). All-reduce needs all of them at the "
                "same time: check that every executor can reach the parameter server, and that "
                "none takes much longer to read its rows; or lower the number of workers, or "
                "raise `join_timeout`."
            )

        return self._awaited(all_there, in_vain)

    def team(self, samples: dict[int, int]) -> Team:
        """Joins hands with these workers, at an address that the first one tells the server.

        Raises: as `samples`.
        """
        settings, members = self.gang.settings, sorted(samples)
        server = urlsplit(self.client.url)
        address = own_address(str(server.hostname), server.port)
        wait = timedelta(seconds=settings.join_timeout)
        if self.number == members[0]:
            store, port = opened(address, wait)
            tries = self._workers()[self.number].get("tries", 0)  # what it says takes its place
            info = {"gang": self.gang.number, "tries": tries, **self.where.info}
            info["meet"] = [address, port]
            self.client.join(self.number, self.attempt, samples=samples[self.number], info=info)
        else:
            store = self._found(members[0], address, wait)
        infos = self._workers()
        kind = backend({key: infos[key] for key in members if key in infos})
        began = time.monotonic()
        try:
            return TEAMS[kind](
                dist.PrefixStore(f"gang-{self.gang.number}", store),
                members.index(self.number), len(members), address,
                settings.join_timeout, settings.round_timeout, self.where,
            )  # fmt: skip
        except RuntimeError as error:
            if time.monotonic() - began >= 0.99 * settings.join_timeout:
                raise _not_met(address, "the other workers", settings.join_timeout) from error
            raise Parted(f"The workers didn't all meet: {error}") from None

    def _found(self, first: int, address: str, wait: timedelta) -> Any:
        """The store that the first worker opens."""
        seconds = self.gang.settings.join_timeout
        host, port = self._awaited(
            lambda workers: workers[first].get("meet"),
            lambda _: (
                f"Worker {first} didn't say within {seconds:g} s where the workers meet. See its "
                "log, or raise `join_timeout`."
            ),
        )
        try:
            return dist.TCPStore(host, port, None, False, wait, wait_for_workers=False)
        except RuntimeError as error:
            raise _not_met(address, f"the first worker at {host}:{port}", seconds) from error

    def _awaited(
        self, ready: Callable[[dict[int, Any]], Any], in_vain: Callable[[dict[int, Any]], str]
    ) -> Any:
        """Looks at the workers of this gang until `ready` gives something."""
        end = time.monotonic() + self.gang.settings.join_timeout
        while True:
            workers = self._workers()
            if (found := ready(workers)) is not None:
                return found
            if time.monotonic() > end:
                raise WaitTimeout(in_vain(workers))
            time.sleep(POLL_SECONDS)

    def _workers(self) -> dict[int, Any]:
        status = self.client.status()
        if status["failures"] or status["stop"]:
            raise Parted("Another worker has failed, or the training was stopped.")
        every = {int(key): one for key, one in status["workers"].items()}
        if every[self.number]["attempt"] > self.attempt:
            raise Fenced(f"Attempt {self.attempt} of worker {self.number} was replaced.")
        return {key: one for key, one in every.items() if one.get("gang") == self.gang.number}


def _not_met(here: str, there: str, seconds: float) -> WaitTimeout:
    return WaitTimeout(
        f"The worker at {here} could not reach {there} within {seconds:g} s. All-reduce needs "
        "every executor to reach every other on any port: open the firewall between them, or use "
        "exchange='server'."
    )


def opened(address: str, wait: timedelta) -> tuple[Any, int]:
    """A store that listens at this address alone, on a free port; and the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family, backlog=1024)
    port = int(listener.getsockname()[1])
    store = dist.TCPStore(
        address, port, None, True, wait,
        wait_for_workers=False, master_listen_fd=listener.detach(),
    )  # fmt: skip
    return store, port
