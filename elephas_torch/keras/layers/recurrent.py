"""Recurrent layers: `RNN`, `LSTM`, `GRU`, `SimpleRNN`, and their cells.

With Keras's default activations they run in torch's fused kernels, otherwise step by step. The
inputs of all steps are projected in one product either way.
"""

from elephas_torch.keras.layers.gru import GRU, CuDNNGRU, GRUCell
from elephas_torch.keras.layers.lstm import LSTM, CuDNNLSTM, LSTMCell
from elephas_torch.keras.layers.rnn import RNN
from elephas_torch.keras.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from elephas_torch.keras.layers.stacked_cells import StackedRNNCells

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CuDNNGRU",
    "CuDNNLSTM",
    "GRUCell",
    "LSTMCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
]
