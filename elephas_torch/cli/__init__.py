"""The command `elephas-torch`, also `python -m elephas_torch`; see docs/cli.md."""
