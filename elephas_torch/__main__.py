"""`python -m elephas_torch`: the command line."""

import sys

from elephas_torch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
