"""Params under all the names that they have: Spark's, elephas's and Python's.

Each name leads to the same `Param`, so that what one setter sets the other getter gives.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark.ml.param import Param, Params

from elephas_torch.arguments import INSTEAD
from elephas_torch.errors import unknown_arguments

#: Names of elephas's, of Keras's and of Spark's for params that are called otherwise here.
#: Besides, each param has its name in snake_case.
OTHER_NAMES = {
    "categorical": "categoricalLabels",
    "elephas_optimizer_config": "optimizer",
    "nb_epoch": "epochs",
    "maxIter": "epochs",
    "max_iter": "epochs",
    "outputCol": "predictionCol",
    "output_col": "predictionCol",
    "verbosity": "verbose",
}
#: Params whose None means something; for the others it means "not given".
_NONE_COUNTS = ("staleness",)

N = TypeVar("N", bound="Named")


def snake(name: str) -> str:
    """featuresCol -> features_col."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Named(Params):
    """Params with a setter and a getter for each, under each of its names.

    A class below it gets `setEpochs`, `set_epochs`, `set_nb_epoch`, `setMaxIter`, and
    `getEpochs` and so on for its param `epochs`, and `maxIter` and `nb_epoch` beside `epochs`
    itself.
    """

    if TYPE_CHECKING:  # what `__init_subclass__` makes

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        params = {name: value for name, value in _params(cls)}
        for name, other in _aliases(params).items():
            if not hasattr(cls, name):
                setattr(cls, name, _same(other))
        for name, param in params.items():
            for called in _names(name):
                _define(cls, _methods("set", called), _setter, name, param)
                _define(cls, _methods("get", called), _getter, name, param)

    @classmethod
    def _param_names(cls) -> list[str]:
        return [name for name, _ in _params(cls)]

    @classmethod
    def _resolved(cls, given: dict[str, Any], extra: Iterable[str] = ()) -> dict[str, Any]:
        """Arguments by the params' own names.

        Args:
            extra: names that are none of a param, but known.

        Raises:
            TypeError: a name that nobody knows, or a param twice under two names.
        """
        own = cls._param_names()
        names = {name: name for name in (*own, *extra)} | _aliases(own)
        if strangers := [name for name in given if name not in names]:
            known = dict.fromkeys((*extra, *own))
            raise unknown_arguments(cls.__name__, strangers, known, INSTEAD)
        found: dict[str, Any] = {}
        for name, value in given.items():
            plain = names[name]
            if plain in found:
                raise TypeError(f"{cls.__name__} got `{plain}` twice, also as `{name}`.")
            found[plain] = value
        return {k: v for k, v in found.items() if v is not None or k in _NONE_COUNTS}

    def setParams(self: N, **params: Any) -> N:
        """Sets several params at once, under any of their names.

        Raises:
            TypeError: a name that nobody knows; the message has the nearest one.
        """
        return self._set(**self._resolved(params))

    def set_params(self: N, **params: Any) -> N:
        """The same as `setParams`, under elephas's name."""
        return self.setParams(**params)


def signature(names: Iterable[str]) -> inspect.Signature:
    """What `help()` shows of a constructor: `sc` and `model`, then params by name."""
    first = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
        for name in ("sc", "model")
    ]
    rest = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in names
        if name != "model"
    ]
    return inspect.Signature([*first, *rest])


def _params(cls: type) -> Iterator[tuple[str, Param[Any]]]:
    for name in dir(cls):
        value = inspect.getattr_static(cls, name)
        if isinstance(value, Param):
            yield name, value


def _aliases(params: Iterable[str]) -> dict[str, str]:
    """Other name -> param's name."""
    own = list(params)
    found = {snake(name): name for name in own if snake(name) != name}
    found |= {name: other for name, other in OTHER_NAMES.items() if other in own}
    return {name: other for name, other in found.items() if name not in own}


def _names(param: str) -> list[str]:
    others = [name for name, other in OTHER_NAMES.items() if other == param]
    return list(dict.fromkeys([param, snake(param), *others]))


def _methods(verb: str, name: str) -> list[str]:
    """How a setter or getter is called: setMaxIter, set_max_iter; for "mode" both."""
    camel = verb + name[0].upper() + name[1:]
    if "_" in name:
        return [f"{verb}_{name}"]
    return [camel, f"{verb}_{name}"] if name == name.lower() else [camel]


def _define(cls: type, names: list[str], make: Callable[[str, Param[Any]], Any], *of: Any) -> None:
    for name in names:
        # What a class has written or inherited stays.
        if not hasattr(cls, name):
            method = make(*of)
            method.__name__, method.__module__ = name, cls.__module__
            method.__qualname__ = f"{cls.__qualname__}.{name}"
            setattr(cls, name, method)


def _setter(name: str, param: Param[Any]) -> Any:
    def setter(self: Any, *value: Any, **named: Any) -> Any:
        given = [*value, *named.values()]
        if len(given) != 1 or not set(named) <= {"value", *_names(name)}:
            raise TypeError(f"A setter of {name!r} takes one value. Received: {value}, {named}")
        if given[0] is None and name not in _NONE_COUNTS:
            return _cleared(self, name)
        return self._set(**{name: given[0]})

    setter.__doc__ = f"Sets `{name}`: {param.doc}"
    return setter


def _cleared(stage: Any, name: str) -> Any:
    """The stage with a param as nobody had set it."""
    stage.clear(stage.getParam(name))
    return stage


def _getter(name: str, param: Param[Any]) -> Any:
    def getter(self: Any) -> Any:
        return self.getOrDefault(self.getParam(name))

    getter.__doc__ = f"The value of `{name}`: {param.doc}"
    return getter


def _same(name: str) -> property:
    def param(self: Any) -> Any:
        return self.getParam(name)

    return property(param, doc=f"The same param as `{name}`.")
