"""Where Keras 1, 2 and 3 have pictures: reading, writing and changing them."""

from elephas_torch.keras.utils.images import (
    array_to_img,
    img_to_array,
    load_img,
    save_img,
    smart_resize,
)

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]
