"""A parameter server for any torch training loop, and its client.

    >>> from elephas_torch.parameter import Settings, ServerProcess  # doctest: +SKIP

See docs/parameter.md. Importing this imports no web framework: only the server's own process
does.
"""

from elephas_torch.parameter.client import Client
from elephas_torch.parameter.guard import Limits
from elephas_torch.parameter.in_memory import InMemoryClient
from elephas_torch.parameter.process import ServerProcess
from elephas_torch.parameter.wire import Joined, Push, Reply, Settings

__all__ = [
    "Client", "InMemoryClient", "Joined", "Limits", "Push", "Reply", "ServerProcess", "Settings",
]  # fmt: skip
