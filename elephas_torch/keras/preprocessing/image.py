"""Where Keras 1, 2 and 3 have pictures: reading, writing and changing them."""

from elephas_torch.keras.preprocessing.affine import apply_affine_transform
from elephas_torch.keras.preprocessing.changes import (
    apply_brightness_shift,
    apply_channel_shift,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
)
from elephas_torch.keras.preprocessing.file_iterators import DataFrameIterator, DirectoryIterator
from elephas_torch.keras.preprocessing.generator import ImageDataGenerator
from elephas_torch.keras.preprocessing.iterators import Iterator, NumpyArrayIterator
from elephas_torch.keras.utils.images import (
    array_to_img,
    img_to_array,
    load_img,
    save_img,
    smart_resize,
)

__all__ = [
    "DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "Iterator",
    "NumpyArrayIterator", "apply_affine_transform", "apply_brightness_shift",
    "apply_channel_shift", "array_to_img", "img_to_array", "load_img", "random_brightness",
    "random_channel_shift", "random_rotation", "random_shear", "random_shift", "random_zoom",
    "save_img", "smart_resize",
]  # fmt: skip
