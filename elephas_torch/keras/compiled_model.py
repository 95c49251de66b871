"""`CompiledModel`: a model that knows how it is to be trained, and can take data for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor

from elephas_torch.keras import intake, legacy, optimizers
from elephas_torch.keras.arguments import check_flag, check_known, check_whole
from elephas_torch.keras.batches import Samples
from elephas_torch.keras.compiled import Compiled, in_old_order, jit, look_up, scaling
from elephas_torch.keras.goals import Goals
from elephas_torch.keras.layers.base import Layer, Shape
from elephas_torch.keras.layers.own_metrics import metrics_in
from elephas_torch.keras.step import Step
from elephas_torch.keras.structure import Structure, any_batch
from elephas_torch.optimizers import Optimizer

if TYPE_CHECKING:
    from elephas_torch.keras.callbacks import History


class CompiledModel(Layer):
    """The part of a `Model` that `compile` and the shapes of data concern."""

    #: Whether the model takes one tensor, so that a list is data and no list of inputs.
    one_input: ClassVar[bool] = False

    def __init__(self, *, name: str | None = None, trainable: bool = True, **kwargs: Any) -> None:
        super().__init__(name=name, trainable=trainable, **kwargs)
        self.compiled: Compiled | None = None
        #: Set it to True in a callback to end the training.
        self.stop_training = False
        #: The `History` of the last `fit`.
        self.history: History | None = None
        self._step: Step | None = None
        self._goals: Goals | None = None
        # The shapes of the inputs, and the structure that they have.
        self._inputs: tuple[Any, Structure] | None = None
        self._input_shape: Shape | None = None
        self._output_shape: Shape | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        **kwargs: Any,
    ) -> None:
        """Says how the model is to be trained.

        Follows https://keras.io/api/models/model_training_apis/#compile-method

        Args:
            optimizer: a name (with Keras 3's defaults) or an object of
                `elephas_torch.keras.optimizers` or `elephas_torch.optimizers`.
            loss: a name, an object of `elephas_torch.keras.losses`, or a function of
                (y_true, y_pred) that returns one value a row. For several outputs a list, or a
                dict by the outputs' names, None for those without; one alone counts for all.
                None (default): what layers add with `add_loss` is all.
            loss_weights: factors of the outputs' losses, a list or dict. Default 1.
            metrics: a list of names ("accuracy", "mse"), objects or functions; one of them alone
                will do. For several outputs a list or dict with an entry for each.
            weighted_metrics: the same, of metrics that sample and class weights count in.
            run_eagerly: True keeps `jit_compile` off. Default False.
            steps_per_execution: whole number; accepted, each step is one by itself.
            jit_compile: True sends the forward pass through `torch.compile`; where that finds no
                compiler, it warns and goes on without. Or a mode of it: "default" (as True),
                "reduce-overhead" (with CUDA graphs on a GPU, for batches of few sizes),
                "max-autotune" (the same, and tries kernels out) or "max-autotune-no-cudagraphs".
                Default "auto": off.
            auto_scale_loss: with the dtype policy "mixed_float16" the optimizer becomes a
                `LossScaleOptimizer`. Default True.

        Raises:
            ValueError: a name that doesn't exist, the message has the nearest one; entries
                that don't fit the model's outputs; or no mode of `torch.compile`.
            TypeError: an argument that `compile` doesn't take.
        """
        loss_weights, metrics = in_old_order(loss_weights, metrics)
        legacy.ignore(kwargs)
        check_known(CompiledModel.compile, kwargs)
        check_flag("run_eagerly", run_eagerly)
        check_flag("auto_scale_loss", auto_scale_loss)
        check_whole("steps_per_execution", steps_per_execution, 1)
        found = look_up(optimizer, loss, metrics, loss_weights, weighted_metrics)
        found.run_eagerly = bool(run_eagerly)
        found.steps_per_execution = steps_per_execution
        found.jit_compile = jit(jit_compile, run_eagerly)
        if auto_scale_loss and self.dtype_policy.name == "mixed_float16":
            found.optimizer = scaling(found.optimizer)
        goals = found.goals()
        if self.built and self._output_shape is not None:
            goals.resolve(self._output_shape, self._output_names())
        self.compiled = found
        self._goals = goals
        self._step = None

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compiles the model with what `get_compile_config` gave."""
        known = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics",
                 "run_eagerly", "steps_per_execution", "jit_compile")  # fmt: skip
        self.compile(**{name: config[name] for name in known if name in config})

    def get_compile_config(self) -> dict[str, Any]:
        """How the model is compiled, JSON-able; {} where it isn't."""
        return {} if self.compiled is None else self.compiled.get_config()

    @property
    def optimizer(self) -> Optimizer:
        """The compiled optimizer."""
        return self._needs_compile().optimizer

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        self._needs_compile().optimizer = optimizers.get(value)
        self._step = None

    @property
    def loss(self) -> Any:
        """The compiled loss; a list or dict of them where there are several."""
        return self._needs_compile().loss

    @property
    def jit_compile(self) -> bool | str:
        """Whether the forward pass goes through `torch.compile`, or in which of its modes; can be
        set, as can `run_eagerly` and `steps_per_execution`."""
        return self._needs_compile().jit_compile

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        compiled = self._needs_compile()
        compiled.jit_compile = jit(value, compiled.run_eagerly)
        self._step = None

    @property
    def run_eagerly(self) -> bool:
        """What `compile` was told; False in a model that isn't compiled."""
        return self.compiled is not None and self.compiled.run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        check_flag("run_eagerly", value)
        compiled = self._needs_compile()
        compiled.run_eagerly = bool(value)
        self.jit_compile = compiled.jit_compile

    @property
    def steps_per_execution(self) -> int:
        """What `compile` was told; 1 in a model that isn't compiled."""
        return 1 if self.compiled is None else self.compiled.steps_per_execution

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        check_whole("steps_per_execution", value, 1)
        self._needs_compile().steps_per_execution = value

    @property
    def metrics(self) -> list[Any]:
        """What is measured in training: the running loss, called "loss"; all compiled metrics as
        one, called "compile_metrics"; the losses of single outputs, where there are several; and
        the metrics that are attributes of the model or its layers.

        Each has `update_state`, `result` and `reset_state`.
        """
        found: list[Any] = []
        if self.compiled is not None:
            goals = self._tracked()
            found = [goals.loss, *([goals.metrics] if goals.measured else []), *goals.trackers]
        return found + self._own_metrics()

    def _own_metrics(self) -> list[Any]:
        # Looked for once a fit: train_on_batch has no time to go through all layers.
        goals = self._goals
        if goals is not None and goals.own_metrics is not None:
            return goals.own_metrics
        layers = [one for one in self.modules() if isinstance(one, Layer)]
        owners = [one for one in layers if one is self or not isinstance(one, CompiledModel)]
        several = [metric for owner in owners for metric in metrics_in(owner)]
        found = list({id(metric): metric for metric in several}.values())
        if goals is not None and self.built:
            goals.own_metrics = found
        return found

    def _look_again(self) -> None:
        """Own metrics may have come or gone since the last fit."""
        if self._goals is not None:
            self._goals.own_metrics = None

    def reset_metrics(self) -> None:
        """Sets the running loss and all metrics to zero."""
        for metric in self.metrics:
            metric.reset_state()

    def add_metric(self, value: Any, name: str | None = None, aggregation: Any = None) -> None:
        """Not there, as in Keras 3.

        Raises:
            TypeError: always; the message says what to use.
        """
        raise TypeError(
            "add_metric is of Keras 2; Keras 3 has none. Make a metric in the constructor, "
            f"self.{name or 'mine'} = metrics.Mean(name={name or 'mine'!r}), and call its "
            "update_state(value) in `call`: what it says comes into the logs."
        )

    @property
    def input_shape(self) -> Any:
        """Shape of the inputs, batch (None) first; a list or dict of them for several."""
        self._needs_build()
        return cast(Shape, self._input_shape)

    @property
    def output_shape(self) -> Any:
        """Shape of the outputs, batch (None) first; a list or dict of them for several."""
        self._needs_build()
        return cast(Shape, self._output_shape)

    @property
    def input_structure(self) -> Structure:
        """The form of the inputs, with their names."""
        shapes = self.input_shape
        if self._inputs is None or self._inputs[0] != shapes:
            names = getattr(self, "input_names", None)
            vars(self)["_inputs"] = shapes, Structure.of_shapes(shapes, names)
        return self._inputs[1]  # type: ignore[index]

    @property
    def input_dtypes(self) -> list[torch.dtype]:
        """What the inputs are converted to, in the order of their tree."""
        return [self.input_dtype] * len(self.input_structure)

    def _output_names(self) -> Any:
        # Outputs of a model that is no graph have no names of their own.
        graph = getattr(self, "_graph", None)
        return None if graph is None else getattr(self, "output_names", None)

    @property
    def has_call(self) -> bool:
        """Whether the model can be called: a model with a `train_step` alone needs no `call`."""
        owner = next(cls for cls in type(self).__mro__ if "call" in vars(cls))
        return owner.__module__ not in (Layer.__module__, "elephas_torch.keras.model")

    def last_activations(self) -> list[Any]:
        """For each output, in the order of its tree, the activation function that it ends with;
        None where that isn't known or there is none.

        A model of several outputs overrides this and `preactivations`; one of a single output
        `last_activation` and `preactivation`.
        """
        return [self.last_activation()]

    def preactivations(self, inputs: Any, which: Iterable[int]) -> Any:
        """The outputs in their structure, with their masks.

        Args:
            inputs: as `call` takes them.
            which: the numbers of outputs, in the order of `last_activations`, that are wanted
                without their last activation: logits.
        """
        return self.preactivation(inputs) if list(which) else self(inputs)

    def last_activation(self) -> Any:
        """The activation function that the model ends with, or None if that isn't known."""
        return None

    def preactivation(self, inputs: Tensor) -> Tensor:
        """The outputs before `last_activation()`: logits."""
        return cast(Tensor, self(inputs))

    def _needs_build(self) -> None:
        if not self.built:
            raise ValueError(
                f"Model {self.name!r} has no weights yet, because it doesn't know its input shape. "
                "Give its first layer input_shape=…, or call build((None, …)), or fit it on data."
            )

    def _needs_compile(self) -> Compiled:
        if self.compiled is None:
            raise ValueError(
                "The model isn't compiled. Call model.compile(loss=…, optimizer=…) first."
            )
        return self.compiled

    def _no_loss(self) -> ValueError:
        return ValueError(
            f"Model {self.name!r} has nothing to train for: give compile() a loss, or add one "
            "with add_loss in a layer's `call`."
        )

    def _tracked(self) -> Goals:
        """Losses and metrics with their running sums; resolved where the outputs are known."""
        compiled = self._needs_compile()
        if self._goals is None:
            self._goals = compiled.goals()
        shapes = any_batch(self._output_shape) if self.built else None
        if shapes is not None and self._goals.shapes != shapes:
            self._goals.resolve(shapes, self._output_names())
        return self._goals

    def _resolved(self) -> Goals:
        self._needs_build()
        return self._tracked()

    def _ready(self) -> Step:
        """The step of the built and compiled model; made anew when its weights have moved."""
        self._needs_compile()
        self._needs_build()
        if self._step is None or not self._step.flat.holds(self):
            self._step = Step(self)
        return self._step

    def _add_accuracy(self) -> None:
        compiled = self._needs_compile()
        metrics = compiled.metrics if isinstance(compiled.metrics, list) else []
        if not any(one in ("accuracy", "acc") for one in metrics if isinstance(one, str)):
            compiled.metrics = [*metrics, "accuracy"]
            self._goals = self._step = None

    def features(self, x: Any, name: str = "x") -> Any:
        """Array-like features as tensors that fit the model; builds a model without shape.

        Args:
            x: an array; for a model of several inputs a list of arrays, or a dict by their names.

        Raises:
            DataError: they don't fit.
        """
        return intake.features(self, x, name)

    def samples(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        names: intake.Names = ("x", "y", "sample_weight"),
    ) -> Samples:
        """Array-likes as tensors that fit the compiled model, checked.

        Raises:
            DataError: shapes or labels don't fit the model or its loss.
        """
        return intake.samples(self, x, y, sample_weight, class_weight, names)
