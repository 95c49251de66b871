"""Simulated workers: threads that push to a server for a while. Run as a script.

Arguments: the server's address and token, the first worker's number, how many, seconds, the
vector's length. Prints what they did, as JSON.
"""

import json
import random
import sys
import threading
import time
from collections import Counter

import torch

from elephas_torch.errors import ElephasError
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push

BATCHES = 20


def work(url, token, worker, end, length, counts, errors):
    chance = random.Random(worker)
    update = Vectors(torch.ones(length), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    into, client = update.clone(), Client(url, token, timeout=120)
    try:
        attempt, seq = 0, 0
        client.join(worker, attempt, samples=1)
        version = client.pull(into)
        while time.monotonic() < end:
            epoch, batch = divmod(seq, BATCHES)
            push = Push(worker, attempt, seq, version, 1, epoch, batch == BATCHES - 1)
            version = client.exchange(push, update, into).version
            counts["pushes"], seq = counts["pushes"] + 1, seq + 1
            if push.last:
                client.report(worker, attempt, epoch, {"train": {"loss": [1.0, 1]}})
                client.keep(worker, attempt, epoch, bytes(4 * length))
                counts["reports"] += 1
            if chance.random() < 0.05:
                client.beat(worker, attempt, {"batch": batch})
                counts["beats"] += 1
            if chance.random() < 0.002:  # it is lost, and another goes on
                client.close()
                attempt += 1
                assert client.join(worker, attempt, samples=1).seq == seq
                version = client.pull(into)
                counts["losses"] += 1
            time.sleep(chance.uniform(0, 0.1))
        client.leave(worker, attempt)
    except (ElephasError, OSError, AssertionError) as error:
        errors.append(f"worker {worker}: {type(error).__name__}: {error}")
    client.close()


def main(url, token, first, number, seconds, length):
    end, errors = time.monotonic() + float(seconds), []
    mine = [Counter() for _ in range(int(number))]
    threads = [
        threading.Thread(
            target=work, args=(url, token, int(first) + one, end, int(length), counts, errors)
        )
        for one, counts in enumerate(mine)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"counts": sum(mine, Counter()), "errors": errors}), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
