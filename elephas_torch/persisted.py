"""RDDs that the user has persisted, and what is known of each for as long as it is."""

from __future__ import annotations

import re
import uuid
from typing import Any

from pyspark import RDD, SparkContext

from elephas_torch import cluster
from elephas_torch.keeping import Keep
from elephas_torch.skipping import Skippable, is_framed

#: How an RDD's partitions are joined: to how many, and whether for a barrier stage.
Joining = tuple[int, bool]

#: Joinings of one RDD that are held on to, with Spark's shuffles for them.
_JOININGS = 4


class Persisted(int):
    """One time of being persisted. It takes the place of True in `rdd.is_cached`.

    `unpersist` and `persist` set that to a plain bool. So when this is found there again, the rows
    are still those that were persisted when it was put there; and nothing need be known of them
    else, neither of Spark's inside nor by methods of its own on somebody's RDD.

    Attributes:
        name: of this time.
        joined: RDDs of the same rows in fewer partitions, and whether their rows are (key, row).
            A shuffle is done once for all fits then.
    """

    name: str
    joined: dict[Joining, tuple[RDD[Any], bool]]

    def __new__(cls) -> Persisted:
        one = super().__new__(cls, 1)
        one.name, one.joined = uuid.uuid4().hex[:12], {}
        return one

    def __repr__(self) -> str:
        return "True"

    def hold(self, joining: Joining, rdd: RDD[Any], numbered: bool) -> None:
        """Holds on to a joined RDD; lets go of that which was used longest ago."""
        self.joined.pop(joining, None)
        self.joined[joining] = rdd, numbered
        for one in list(self.joined)[:-_JOININGS]:
            self.joined.pop(one, None)


def ids(sc: SparkContext) -> frozenset[int]:
    """Of all RDDs that are persisted."""
    listed = sc._jsc.getPersistentRDDs().keySet().toString()  # in one call of the JVM
    return frozenset(map(int, re.findall(r"\d+", listed)))


def since(rdd: RDD[Any], known: frozenset[int]) -> Persisted | None:
    """Since when an RDD is persisted; None where it isn't.

    Args:
        known: the ids of those that are.
    """
    if not rdd.is_cached:
        return None
    if rdd.id() not in known:  # unpersisted by the JVM's object, of which this one wasn't told
        rdd.is_cached = True
        return None
    now: Any = rdd.is_cached
    if not isinstance(now, Persisted):
        now = Persisted()
        rdd.is_cached = now
    return now


def may_keep(sc: SparkContext) -> bool:
    """Whether tensors may lie in files: not where Spark encrypts its own ones.

    Raises:
        ValueError: `spark.elephas.keep` is neither true nor false.
    """
    asked = (cluster.setting(sc, "keep") or "true").lower()
    if asked not in ("true", "false"):
        raise ValueError(f"spark.elephas.keep must be true or false. Received: {asked!r}")
    return asked == "true" and not cluster.encrypts_files(sc)


def skippable(rdd: RDD[Any], values: bool) -> RDD[Any] | None:
    """The same rows, which tasks can pass over; None where they can't.

    Args:
        values: its rows are (key, row), of which the second are wanted.
    """
    java = rdd._jrdd  # a Python RDD's deserializer is known after that
    if not is_framed(rdd._jrdd_deserializer):
        return None
    return RDD(java, rdd.ctx, Skippable(rdd._jrdd_deserializer, values))


def keep(rdd: RDD[Any], source: RDD[Any], now: Persisted, known: frozenset[int]) -> Keep:
    """What tasks on a source of a persisted RDD's rows are told."""
    return Keep(known, rdd.id(), now.name, source.id())
