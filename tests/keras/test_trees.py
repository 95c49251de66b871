from collections import namedtuple

import pytest

from elephas_torch.keras import trees

Pair = namedtuple("Pair", "first second")


def test_leaves_come_in_order_those_of_dicts_by_key():
    assert trees.leaves(3) == [3]
    assert trees.leaves([1, (2, [3])]) == [1, 2, 3]
    assert trees.leaves({"b": 1, "a": [2, 3]}) == [2, 3, 1]
    assert trees.leaves([]) == []


def test_mapping_keeps_the_form():
    tree = {"b": [1, (2, 3)], "a": Pair(4, {"c": 5})}
    doubled = trees.map_leaves(lambda one: 2 * one, tree)
    assert doubled == {"b": [2, (4, 6)], "a": Pair(8, {"c": 10})}
    assert isinstance(doubled["a"], Pair)
    assert list(doubled) == ["b", "a"]


def test_several_trees_are_walked_at_once():
    assert trees.map_leaves(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]}) == {"x": [11, 22]}
    with pytest.raises(ValueError, match=r"zip\(\)"):
        trees.map_leaves(lambda a, b: a + b, [1, 2], [1])
