"""`elephas-torch doctor`: is this Spark ready to train, and if not, what is to be done.

    >>> from elephas_torch.cli.doctor import examine  # doctest: +SKIP
    >>> print(examine(sc))  # doctest: +SKIP

See docs/doctor.md.
"""

from elephas_torch.cli.doctor.examination import examine
from elephas_torch.cli.doctor.findings import Finding
from elephas_torch.cli.doctor.report import Report

__all__ = ["Finding", "Report", "examine"]
