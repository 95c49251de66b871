"""Pictures turned, shifted, sheared and zoomed, against scipy and Keras 3's copy of Keras 2's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras.src.legacy.preprocessing import image as theirs
from scipy import ndimage

from elephas_torch.keras.preprocessing.image import apply_affine_transform

#: What Keras's copy itself warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Please import .affine_transform:DeprecationWarning",
    "ignore:This ImageDataGenerator specifies:UserWarning",
)

RANDOM = np.random.default_rng(0)
LAST = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
CHANGES = [
    {"theta": 30},
    {"theta": -100.5},
    {"tx": 2, "ty": -1},
    {"tx": 1.3, "ty": 0.4},
    {"shear": 20},
    {"zx": 0.6, "zy": 1.4},
    {"theta": 10, "tx": 1.5, "ty": -2.5, "shear": -15, "zx": 1.2, "zy": 0.8},
]


def by_scipy(x, matrix, **arguments):
    """Each channel of (rows, columns, channels) moved about the middle."""
    middle = np.array(x.shape[:2]) / 2 - 0.5
    offset = middle + matrix[:2, 2] - matrix[:2, :2] @ middle
    planes = [
        ndimage.affine_transform(plane, matrix[:2, :2], offset, **arguments)
        for plane in np.moveaxis(x, 2, 0)
    ]
    return np.stack(planes, 2)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 3)),
    matrix=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    mode=st.sampled_from(["constant", "nearest", "reflect", "wrap"]),
    order=st.sampled_from([0, 1]),
)
def test_a_turned_and_zoomed_picture_is_scipy_s(shape, matrix, mode, order):
    # crooked numbers: no place falls upon a border, where rounding would decide
    theta, shift = matrix[0] * 50 + 0.1234567, matrix[3] + 0.0312345
    zx, zy = 0.3123 + abs(matrix[1]), 0.3321 + abs(matrix[2])
    turn = np.deg2rad(theta)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    whole = np.eye(3)
    whole[:2, :2] = turned @ np.diag([zx, zy])
    whole[:2, 2] = turned @ [shift, -shift]
    x = np.random.default_rng(1).normal(size=shape)
    ours = apply_affine_transform(
        x, theta, shift, -shift, 0, zx, zy, **LAST, fill_mode=mode, cval=7, order=order
    )
    expected = by_scipy(x, whole, mode=mode, cval=7, order=order)
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", ["constant", "nearest", "reflect", "wrap"])
@pytest.mark.parametrize("order", [0, 1])
def test_square_pictures_are_those_of_keras_2(change, mode, order):
    x = RANDOM.uniform(0, 255, (8, 8, 3)).astype("f4")
    arguments = {**change, "fill_mode": mode, "cval": 9.0, "order": order}
    ours = apply_affine_transform(x, **arguments, **LAST)
    # Keras 3's copy exchanges rows and columns unless it is told that they are exchanged
    expected = theirs.apply_affine_transform(x, **arguments, row_axis=1, col_axis=0, channel_axis=2)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("change", CHANGES)
def test_the_order_of_dimensions_changes_nothing(change):
    x = RANDOM.uniform(0, 255, (5, 8, 3))
    expected = apply_affine_transform(x, **change, **LAST)
    ours = apply_affine_transform(x.transpose(2, 0, 1), **change)
    np.testing.assert_array_equal(ours.transpose(1, 2, 0), expected)


def test_shifts_by_hand():
    x = np.arange(12).reshape(3, 4, 1)
    up = apply_affine_transform(x, tx=1, **LAST)[:, :, 0]
    assert up.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [8, 9, 10, 11]]
    left = apply_affine_transform(x, ty=1, **LAST, fill_mode="constant", cval=-1)[:, :, 0]
    assert left.tolist() == [[1, 2, 3, -1], [5, 6, 7, -1], [9, 10, 11, -1]]
    half = apply_affine_transform(x, theta=180, **LAST)[:, :, 0]
    assert half.tolist() == x[::-1, ::-1, 0].tolist()
    assert half.dtype == x.dtype


def test_no_change_is_none():
    x = RANDOM.normal(size=(3, 4, 1))
    np.testing.assert_array_equal(apply_affine_transform(x, **LAST), x)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": np.zeros((2, 2))}, r"shape=\(2, 2\)"),
        ({"row_axis": 2}, "row_axis=2"),
        ({"fill_mode": "mirror"}, "Unknown fill_mode: 'mirror'"),
        ({"order": 3}, "order=3"),
    ],
)
def test_bad_arguments_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        apply_affine_transform(**{"x": np.zeros((2, 2, 3)), **arguments})
