"""What a worker does on a GPU: its steps against hand-written ones, in time and memory; and an
exchange with the server against copies through pinned memory.

Rows are random and lie on the device, for both alike. A worker's part is what it computes between
two exchanges: `Step` on its rows.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import exchange
from benchmarks.groups import Column, Goal, Group, Measure, in_turn
from elephas_torch import device, keras
from elephas_torch.device import Device
from elephas_torch.keras.batches import Samples
from elephas_torch.moving import moved
from elephas_torch.parameter import Client, Push
from elephas_torch.staging import staged
from elephas_torch.stepping import step_of
from elephas_torch.store import Held

BY_HAND, FACADE, PINNED = "plain loop", "facade", "pinned copies"
PRECISIONS = ("float32", "bf16", "compiled", "bf16 compiled", "graphs")
#: torch.compile's modes; the other precisions aren't compiled.
MODES = {"compiled": "default", "bf16 compiled": "default", "graphs": "reduce-overhead"}
CLASSES = 10
#: Batches a measurement.
BATCHES = 20
MEGABYTES = 400.0
COLUMNS = (Column("samples/s", "rate"), Column("peak MB", "peak", ",.0f", 2**-20))
GOALS = [Goal(FACADE, BY_HAND, least=0.95), Goal(FACADE, BY_HAND, "peak", most=1.15)]


@dataclass(frozen=True)
class Network:
    """A network, by the facade and by hand.

    Attributes:
        shape: of a row; of whole numbers below `words`, where there are such.
        width: of its layers.
        layers: (keras.layers, the network) -> a function of its input that gives what goes into
            the last layer.
        module: the network -> the same as a torch module, that takes the same rows.
    """

    shape: tuple[int, ...]
    batch_size: int
    width: int
    layers: Callable[[Any, Network], Callable[[Any], Any]]
    module: Callable[[Network], nn.Module]
    words: int = 0

    def rows(self, batches: int) -> Samples:
        """Random rows."""
        count = self.batch_size * batches
        x = torch.rand(count, *self.shape)
        x = (x * self.words).int() if self.words else x
        return Samples(x, torch.randint(0, CLASSES, (count,)))


def suite(
    arguments: Any,
    where: Device | None = None,
    several: dict[str, Network] | None = None,
    precisions: Sequence[str] = PRECISIONS,
    batches: int = BATCHES,
    megabytes: float = MEGABYTES,
) -> Iterator[Group]:
    """A group a network and precision, and one of exchanges.

    Args:
        where: the device; None: the first GPU.
        several: networks, by name; None: all of `NETWORKS`.
    """
    if where is None:
        if not torch.cuda.is_available():
            reason = "torch finds no CUDA device here (see docs/gpu.md)"
            yield Group("on a GPU", "", {}, left_out={FACADE: reason})
            return
        where = device.taken("cuda:0", 0)
    for (name, network), precision in itertools.product((several or NETWORKS).items(), precisions):
        with where.used(), steps(network, precision, batches, where) as measures:
            title = f"fit, {name}, batch {network.batch_size}, {precision}"
            yield in_turn(title, BY_HAND, measures, arguments.rounds, columns=COLUMNS, goals=GOALS)
    with where.used(), exchanges(megabytes, where) as measures:
        title = f"push and pull, {megabytes:g} MB, device to device"
        yield in_turn(title, PINNED, measures, arguments.rounds, columns=exchange.COLUMNS)


@contextlib.contextmanager
def steps(
    network: Network, precision: str, batches: int, where: Device
) -> Iterator[dict[str, Measure]]:
    """A worker's epoch and a hand-written one, of the same rows."""
    rows = moved(Held(network.rows(batches)), where)
    _wake(where)
    makers = {BY_HAND: by_hand, FACADE: by_facade}
    yield {
        name: _Measured(functools.partial(maker, network, precision, rows, where), rows, where)
        for name, maker in makers.items()
    }


class _Measured:
    """Samples per second of an epoch, and the most memory that it took: its own, without the rows
    and what others hold. Gradients and what an optimizer keeps are its own, whenever they are made.

    Args:
        make: makes what is to be measured: a function that goes through all rows.
    """

    def __init__(self, make: Callable[[], Callable[[], Any]], rows: Any, where: Device) -> None:
        self.rows, self.where = rows, where
        before = self._held()
        self.epoch = make()
        self.own = self._held() - before

    def _held(self) -> int:
        cuda = self.where.cuda
        return 0 if cuda is None else int(cuda.memory_allocated(self.where.where))

    def __call__(self) -> dict[str, float]:
        cuda, there = self.where.cuda, self.where.where
        if cuda is not None:
            cuda.reset_peak_memory_stats(there)
        held = self._held()
        began = time.perf_counter()
        self.epoch()
        _wait(self.where)
        found = {"rate": len(self.rows) / (time.perf_counter() - began)}
        if cuda is not None:
            found["peak"] = cuda.max_memory_allocated(there) - held + self.own
            self.own += self._held() - held
        return found


def _wake(where: Device) -> None:
    """Lets torch take the memory for products that it keeps: it would count as the first one's."""
    for dtype in (torch.float32, torch.bfloat16):
        one = torch.ones(8, 8, dtype=dtype, device=where.where)
        nn.functional.linear(one, one, one[0])
        one @ one


def _wait(where: Device) -> None:
    now = where.current()
    if now is not None:
        now.synchronize()


def by_facade(network: Network, precision: str, rows: Any, where: Device) -> Callable[[], Any]:
    """A worker's epoch."""
    model = modelled(network, precision)
    device.put(model, where)
    step, epochs = step_of(model), itertools.count()
    model.train()

    def epoch() -> None:
        step.reset()
        for batch in rows.epoch(network.batch_size, True, (0, next(epochs))):
            step.train(batch)
        step.logs()

    return epoch


def modelled(network: Network, precision: str) -> Any:
    """The network by the facade, compiled."""
    mixed, before = keras.mixed_precision, keras.mixed_precision.global_policy()
    mixed.set_global_policy("mixed_bfloat16" if "bf16" in precision else "float32")
    try:
        given = keras.Input(network.shape, dtype="int32" if network.words else "float32")
        last = keras.layers.Dense(CLASSES, activation="softmax", dtype="float32")
        model = keras.Model(given, last(network.layers(keras.layers, network)(given)))
    finally:
        mixed.set_global_policy(before)
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, jit_compile=MODES.get(precision, False))
    return model


def by_hand(network: Network, precision: str, rows: Any, where: Device) -> Callable[[], Any]:
    """An epoch as one writes it: the same rows, loss and optimizer."""
    there, samples, size = where.where, rows.samples, network.batch_size
    model = nn.Sequential(network.module(network), nn.LazyLinear(CLASSES)).to(there)
    model(samples.x[:2])  # makes the last layer
    mode = MODES.get(precision)
    run = model if mode is None else torch.compile(model, mode=mode)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    criterion = nn.CrossEntropyLoss()
    mixed = torch.autocast(there.type, torch.bfloat16, enabled="bf16" in precision)
    model.train()

    def epoch() -> float:
        order = torch.randperm(len(samples.x)).to(there)
        total = torch.zeros((), device=there)
        for first in range(0, len(order), size):
            index = order[first : first + size]
            optimizer.zero_grad()
            if mode == "reduce-overhead":
                torch.compiler.cudagraph_mark_step_begin()
            with mixed:
                loss = criterion(run(samples.x[index]), samples.y[index])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(index)
        return float(total) / len(order)

    return epoch


@contextlib.contextmanager
def exchanges(megabytes: float, where: Device) -> Iterator[dict[str, Measure]]:
    """A push with a pull by each way to the server, and two copies through pinned memory."""
    floats = int(megabytes * 250_000)
    update, into = (
        one._replace(parameters=one.parameters.to(where.where))
        for one in (exchange.vectors(floats), exchange.vectors(floats))
    )
    pinned = where.host_like(update.parameters)

    def copy() -> None:
        pinned.copy_(update.parameters, non_blocking=True)
        into.parameters.copy_(pinned, non_blocking=True)

    calls: dict[str, Callable[[], Any]] = {PINNED: copy}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(exchange.server_of(floats))
        for worker, path in enumerate(exchange.PATHS):
            client = stack.enter_context(Client(server.url, server.token))
            client.join(worker, 0, samples=1)
            link = staged(client, where)
            if path == exchange.SAME_HOST:
                link = link.share(worker, 0, update.sizes)
            if link is not None:
                calls[path] = _exchanging(link, worker, update, into)
        size = 2 * floats * 4
        yield {
            name: functools.partial(exchange.repeated, _whole(call, where), size)
            for name, call in calls.items()
        }


def _exchanging(link: Any, worker: int, update: Any, into: Any) -> Callable[[], Any]:
    seq, version = itertools.count(), [link.pull(into)]

    def call() -> None:
        push = Push(worker, 0, next(seq), version[0], samples=1, epoch=0, last=False)
        version[0] = link.borrow(push, update, into)[0].version

    return call


def _whole(call: Callable[[], Any], where: Device) -> Callable[[], Any]:
    def done() -> None:
        call()
        _wait(where)

    return done


def _mlp(layers: Any, network: Network) -> Callable[[Any], Any]:
    several = [layers.Dense(network.width, activation="relu") for _ in range(2)]
    return functools.partial(functools.reduce, lambda x, layer: layer(x), several)


def _mlp_module(network: Network) -> nn.Module:
    (given,) = network.shape
    width = network.width
    return nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


def _resnet(layers: Any, network: Network) -> Callable[[Any], Any]:
    """A stem, and a residual block at each of three sizes."""

    def normed(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    def network_of(x: Any) -> Any:
        x = layers.MaxPooling2D()(layers.ReLU()(normed(x, network.width, 7, 2)))
        for filters in (network.width, 2 * network.width, 4 * network.width):
            inner = normed(layers.ReLU()(normed(x, filters, 3, 2)), filters, 3)
            x = layers.ReLU()(layers.Add()([inner, normed(x, filters, 1, 2)]))
        return layers.GlobalAveragePooling2D()(x)

    return network_of


class _Residual(nn.Module):
    def __init__(self, given: int, filters: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_normed(given, filters, 3, 2), nn.ReLU(), *_normed(filters, filters, 3)
        )
        self.beside = nn.Sequential(*_normed(given, filters, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x) + self.beside(x))


def _normed(given: int, filters: int, size: int, strides: int = 1) -> list[nn.Module]:
    """With Keras's zeros around an image of even sides, which are fewer before it than behind: with
    torch's own it would be another network, and one of fewer copies."""
    more = max(size - strides, 0)
    before, behind = more // 2, more - more // 2
    zeros = [nn.ZeroPad2d((before, behind) * 2)] if before != behind else []
    convolution = nn.Conv2d(
        given, filters, size, strides, padding=0 if zeros else before, bias=False
    )
    return [*zeros, convolution, nn.BatchNorm2d(filters)]


class _ChannelsFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def _resnet_module(network: Network) -> nn.Module:
    width = network.width
    return nn.Sequential(
        _ChannelsFirst(), *_normed(network.shape[-1], width, 7, 2), nn.ReLU(), nn.MaxPool2d(2),
        _Residual(width, width), _Residual(width, 2 * width), _Residual(2 * width, 4 * width),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def _lstm(layers: Any, network: Network) -> Callable[[Any], Any]:
    return layers.LSTM(network.width)


class _Lstm(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.lstm = nn.LSTM(network.shape[-1], network.width, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.lstm(x)[0][:, -1]


def _transformer(layers: Any, network: Network) -> Callable[[Any], Any]:
    """Two blocks of attention and two dense layers, normalized behind each."""
    width = network.width

    def network_of(x: Any) -> Any:
        x = layers.Embedding(network.words, width)(x)
        for _ in range(2):
            attended = layers.MultiHeadAttention(4, width // 4)(x, x)
            x = layers.LayerNormalization()(layers.Add()([x, attended]))
            inner = layers.Dense(width)(layers.Dense(4 * width, activation="relu")(x))
            x = layers.LayerNormalization()(layers.Add()([x, inner]))
        return layers.GlobalAveragePooling1D()(x)

    return network_of


class _Transformer(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        width = network.width
        self.words = nn.Embedding(network.words, width)
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, batch_first=True)
                for _ in range(2)
            )
        )

    def forward(self, x: Tensor) -> Any:
        return self.blocks(self.words(x)).mean(1)


NETWORKS = {
    "MLP": Network((784,), 1024, 4096, _mlp, _mlp_module),
    "ResNet": Network((224, 224, 3), 64, 64, _resnet, _resnet_module),
    "LSTM": Network((128, 128), 256, 512, _lstm, _Lstm),
    "transformer": Network((256,), 64, 512, _transformer, _Transformer, words=10_000),
}

#: The same, as small as they can be: to be run anywhere.
TINY = {
    "MLP": replace(NETWORKS["MLP"], shape=(6,), batch_size=4, width=8),
    "ResNet": replace(NETWORKS["ResNet"], shape=(32, 32, 3), batch_size=4, width=4),
    "LSTM": replace(NETWORKS["LSTM"], shape=(5, 3), batch_size=4, width=8),
    "transformer": replace(
        NETWORKS["transformer"], shape=(5,), batch_size=4, width=8, words=20
    ),
}  # fmt: skip
