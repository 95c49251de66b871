"""The child process of `ServerProcess`: `python -m elephas_torch.parameter PARENT`."""

from elephas_torch.parameter.serving import serve

if __name__ == "__main__":
    serve()
