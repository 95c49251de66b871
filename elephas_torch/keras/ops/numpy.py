"""The functions that NumPy has too. Follows https://keras.io/api/ops/numpy/"""

from elephas_torch.keras.ops.arithmetic import *  # noqa: F403
from elephas_torch.keras.ops.creation import *  # noqa: F403
from elephas_torch.keras.ops.elementwise import *  # noqa: F403
from elephas_torch.keras.ops.indexing import *  # noqa: F403
from elephas_torch.keras.ops.linalg import *  # noqa: F403
from elephas_torch.keras.ops.reductions import *  # noqa: F403
from elephas_torch.keras.ops.shaping import *  # noqa: F403
