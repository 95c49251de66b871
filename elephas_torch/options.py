"""How a fit is to be done, and what its server is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from elephas_torch import preflight
from elephas_torch.config import Config
from elephas_torch.flat import Flat
from elephas_torch.keras.models import Model
from elephas_torch.optimizers import Optimizer
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
        config: the `SparkModel`'s settings.
        plan: what workers are told.
        optimizer: what the server steps with.
        workers: how many there are.
        tls: as Spark's settings have it, too.
        recovery: what the fit begins from again when its server falls; None: nothing.
        metrics_token: that allows to read the servers' metrics, and nothing else.
    """

    config: Config
    plan: Plan
    optimizer: Optimizer
    workers: int
    tls: Wanted
    recovery: Recovery | None
    metrics_token: str | None = field(repr=False)

    @property
    def own_optimizer(self) -> bool:
        """Whether the server steps with the compiled optimizer, so that learning rates that
        callbacks set are its."""
        return self.config.gradients and self.config.optimizer is None

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
        config = self.config
        return Settings(
            mode=config.mode,
            sizes=flat.vectors.sizes,
            optimizer=preflight.for_server(self.optimizer, model, flat.names),
            weight_sizes=flat.sizes,
            workers=self.workers,
            staleness=config.staleness,
            join_timeout=config.join_timeout,
            round_timeout=config.round_timeout,
            lease=config.lease,
            gated=config.mode == "synchronous" and config.quorum == 1 and watched,
            server_rate=self.own_optimizer,
            constraints=preflight.constraint_specs(model),
            compression=config.compression,
            embeddings=preflight.embeddings(model) if self.plan.gradients else [],
            checkpoint_every=0 if self.recovery is None else self.recovery.milestones,
            quorum=config.quorum,
            staleness_bound=config.staleness_bound,
        )
