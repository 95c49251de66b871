"""The command line as a script, for `spark-submit "$(elephas-torch --script)" COMMAND …`."""

import sys

if __name__ == "__main__":
    # Python looks for modules beside a script first, where this package's own parts are.
    del sys.path[0]
    from elephas_torch.cli.main import main

    sys.exit(main())
