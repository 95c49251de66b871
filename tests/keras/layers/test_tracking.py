import copy
import pickle

import torch
from torch import nn

from elephas_torch.keras.layers import Dense, Layer


class Holder(Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [Dense(1)]
        self.named = {"a": Dense(2)}
        self.pair = (Dense(3), [Dense(4)])
        self._hidden = []
        self.sizes = [1, 2, 3]

    def call(self, inputs):
        return inputs


def units(holder):
    return sorted(one.units for one in holder.children())


def test_lists_dicts_and_tuples_are_followed():
    holder = Holder()
    assert units(holder) == [1, 2, 3, 4]
    assert holder.sizes == [1, 2, 3] and isinstance(holder.sizes, list)


def test_what_comes_later_is_followed():
    holder = Holder()
    holder.parts.append(Dense(5))
    holder.parts.extend([Dense(6)])
    holder.parts.insert(0, Dense(7))
    holder.parts += [Dense(8)]
    holder.parts[0] = Dense(9)
    holder._hidden.append(Dense(10))
    holder.named["b"] = Dense(11)
    holder.named.update(c=Dense(12))
    holder.named.setdefault("d", Dense(13))
    assert set(units(holder)) >= {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13}
    assert [one.units for one in holder.parts] == [9, 1, 5, 6, 8]


def test_a_module_in_two_places_is_followed_once():
    holder = Holder()
    shared = nn.Linear(2, 2)
    holder.parts.append(shared)
    holder.named["again"] = shared
    assert sum(one is shared for one in holder.children()) == 1


def test_copies_follow_their_own():
    holder = Holder()
    for again in (copy.deepcopy(holder), pickle.loads(pickle.dumps(holder))):
        again.parts.append(Dense(50))
        again.named["x"] = Dense(51)
        assert {50, 51} <= set(units(again))
        assert {50, 51}.isdisjoint(units(holder))
        assert again.parts[0] is not holder.parts[0]
        assert any(one is again.parts[0] for one in again.children())


def test_weights_of_layers_in_lists_are_the_layer_s():
    holder = Holder()
    for one in holder.children():
        one(torch.ones(1, 2))
    assert len(holder.weights) == 8
    holder.trainable = False
    assert not holder.parts[0].trainable_weights
