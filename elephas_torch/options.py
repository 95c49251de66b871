"""How a fit is to be done, and what its server is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from elephas_torch import preflight
from elephas_torch.flat import Flat
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
from elephas_torch.parameter import codec
from elephas_torch.parameter.tls import Wanted
from elephas_torch.parameter.wire import Settings
from elephas_torch.plan import Plan
from elephas_torch.recovery import Recovery

#: Seconds that the driver waits at least for an answer of its server.
SHORTEST = 5.0


@dataclass(frozen=True)
class Options:
    """How a fit is to be done; checked by whoever makes it.

    Attributes:
        plan: what workers are told.
        optimizer: what the server steps with.
        own_optimizer: it is the compiled one, so learning rates that callbacks set are its.
        metrics_token: that allows to read the servers' metrics, and nothing else.
        recovery: what the fit begins from again when its server falls; None: nothing.
    """

    mode: str
    plan: Plan
    optimizer: Optimizer
    own_optimizer: bool
    staleness: str | None
    workers: int
    host: str | None
    port: int | None
    join_timeout: float
    round_timeout: float
    lease: float
    connect_timeout: float
    slots_timeout: float | None
    shards: int
    compression: codec.Spec = None
    recovery: Recovery | None = None
    quorum: float = 1.0
    staleness_bound: int | None = None
    tls: Wanted = field(default_factory=Wanted)
    metrics_token: str | None = field(default=None, repr=False)

    @property
    def silence(self) -> float:
        """Seconds without an answer after which the driver takes its server for fallen."""
        return max(self.plan.patience, SHORTEST)

    def settings(self, model: Model, flat: Flat, watched: bool) -> Settings:
        """What the server is told.

        Args:
            flat: the model's vectors.
            watched: callbacks look at each epoch.
        """
        return Settings(
            mode=self.mode,
            sizes=flat.vectors.sizes,
            optimizer=preflight.for_server(self.optimizer, model, flat.names),
            weight_sizes=flat.sizes,
            workers=self.workers,
            staleness=self.staleness,
            join_timeout=self.join_timeout,
            round_timeout=self.round_timeout,
            lease=self.lease,
            gated=self.mode == "synchronous" and self.quorum == 1 and watched,
            server_rate=self.own_optimizer,
            constraints=preflight.constraint_specs(model),
            compression=self.compression,
            embeddings=preflight.embeddings(model) if self.plan.gradients else [],
            checkpoint_every=0 if self.recovery is None else self.recovery.milestones,
            quorum=self.quorum,
            staleness_bound=self.staleness_bound,
        )
