"""Arrow batches of a DataFrame to tensors, without a Python object a row."""

from elephas_torch.arrow.field import Field
from elephas_torch.arrow.layout import Batches, Layout

__all__ = ["Batches", "Field", "Layout"]
