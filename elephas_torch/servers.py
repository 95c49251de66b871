"""The parameter server of a fit as its driver sees it: started, watched, and started again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from elephas_torch.classic import Cluster
from elephas_torch.errors import ElephasError, ServerError, Unreachable, WaitTimeout
from elephas_torch.flat import Flat, Vectors
from elephas_torch.keras.models import Model
from elephas_torch.options import Options
from elephas_torch.parameter.guard import Limits
from elephas_torch.parameter.shards import ShardedClient, ShardedServer
from elephas_torch.recovery import Held

#: How the driver notices that its server has fallen.
FALLEN = (Unreachable, WaitTimeout)
RESUME = " fit(checkpoint_dir=…, resume=True) goes on from the last checkpoint, if there is one."
HINT = " With fit(checkpoint_dir=…) it would have been started again, and the fit gone on."


class FitServer:
    """The parameter server of one fit; where it falls, `FALLEN` is raised.

    Args:
        shards: its processes.
        client: the driver's.
        options: how the fit is done.
    """

    def __init__(self, shards: ShardedServer, client: ShardedClient, options: Options) -> None:
        self.shards, self.client, self._options = shards, client, options
        self._asked = 0.0

    def await_start(self) -> None:
        """Waits until it answers, that may only just have been started.

        Raises:
            WaitTimeout, Unreachable: it doesn't.
        """
        with self.shards.client(self._options.config.join_timeout) as client:
            client.health()

    def check(self) -> None:
        """Raises Unreachable or WaitTimeout where a shard has ended, or is silent."""
        now = time.monotonic()
        if len(self.client.clients) > 1 and now - self._asked > self._options.silence / 4:
            self.client.health()  # of all; events are the first one's alone
            self._asked = time.monotonic()
        if not self.shards.alive:
            raise Unreachable("A parameter server has ended.")

    def restart(self, why: ElephasError) -> Held:
        """Starts it again where it has fallen; workers find out by themselves.

        Args:
            why: how that was noticed.

        Returns:
            What it begins from. It may not answer yet.

        Raises:
            ServerError: it has fallen too often.
        """
        assert self._options.recovery is not None
        self.client.close()
        return self._options.recovery.restart(self.shards, why)

    def give_up(self, error: ElephasError) -> NoReturn:
        """Raises what is known of how it has fallen, and of what would have helped."""
        hint = HINT if self._options.recovery is None else RESUME
        self.shards.check(grace=2.0, hint=hint)  # says more, if its process has ended
        if not isinstance(error, WaitTimeout):
            raise error
        self.shards.kill()  # nobody would be told that all is over
        raise ServerError(f"The parameter server's process runs, but is silent. {error}{hint}")


@contextmanager
def started(
    model: Model, flat: Flat, options: Options, cluster: Cluster, watched: bool
) -> Iterator[FitServer]:
    """A server that starts while the Spark job does: requests wait until it is ready.

    Args:
        flat: the model's vectors.
        watched: callbacks look at each epoch.
    """
    config, recovery, tls = options.config, options.recovery, options.tls
    shards = ShardedServer(
        options.settings(model, flat, watched),
        Vectors(*flat.vectors),
        config.num_shards,
        host=cluster.server_host(config.host),
        port=cluster.server_port(config.port),
        keep=True,
        checkpoint=None if recovery is None else recovery.packed,
        ssl=tls.ssl,
        ssl_certfile=tls.certfile,
        ssl_keyfile=tls.keyfile,
        ssl_keyfile_password=tls.password,
        limits=Limits(gone_seconds=options.plan.patience),
        metrics_token=options.metrics_token,
    )
    try:
        with shards.start().client(options.silence) as client:
            yield FitServer(shards, client, options)
    finally:
        shards.stop()
