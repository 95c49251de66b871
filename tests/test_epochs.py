"""What the driver knows of workers from the server's events."""

from elephas_torch.epochs import Epochs


def test_who_else_is_there():
    epochs = Epochs(3)
    assert not epochs.others(0)
    for number, samples in ((0, 5), (1, 5), (2, 0)):
        epochs.note({"kind": "join", "worker": number, "samples": samples})
    assert epochs.others(0) and epochs.others(2)
    epochs.note({"kind": "expired", "worker": 1})
    assert not epochs.others(0), "one was left out, and one has no rows"
    epochs.note({"kind": "returned", "worker": 1})
    assert epochs.others(0)
