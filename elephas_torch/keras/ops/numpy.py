"""The functions that NumPy has too. Follows https://keras.io/api/ops/numpy/"""

from elephas_torch.keras.ops.arithmetic import *  # noqa: F403
from elephas_torch.keras.ops.core import ndim as ndim
from elephas_torch.keras.ops.core import size as size
from elephas_torch.keras.ops.core import vectorize as vectorize
from elephas_torch.keras.ops.core import view as view
from elephas_torch.keras.ops.creation import *  # noqa: F403
from elephas_torch.keras.ops.elementwise import *  # noqa: F403
from elephas_torch.keras.ops.indexing import *  # noqa: F403
from elephas_torch.keras.ops.linalg import *  # noqa: F403
from elephas_torch.keras.ops.reductions import *  # noqa: F403
from elephas_torch.keras.ops.shaping import *  # noqa: F403
from elephas_torch.keras.ops.signal import correlate as correlate
