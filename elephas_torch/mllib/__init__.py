"""MLlib's matrices and vectors as NumPy arrays, and back."""

from elephas_torch.mllib.adapter import from_matrix, from_vector, to_matrix, to_vector

__all__ = ["from_matrix", "from_vector", "to_matrix", "to_vector"]
