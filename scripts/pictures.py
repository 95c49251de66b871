"""Draws the pictures of docs/pictures: `python scripts/pictures.py` writes them anew.

What happens when isn't drawn by hand: two workers are played through by the rules of each mode, and
the picture shows what came of it. Each picture brings its own background, and has colours for light
and for dark pages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
STYLE = """
svg { background: #ffffff; border-radius: 6px; }
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.small { font-size: 11px; } .quiet { fill: #59636e; } .bold { font-weight: 600; }
.middle { text-anchor: middle; } .end { text-anchor: end; }
.page { fill: #ffffff; } .lane { fill: #f3f4f6; } .box { fill: #ffffff; stroke: #8c959f; }
.batch { fill: #b6d4fe; stroke: #0a58ca; } .other { fill: #ffe1ad; stroke: #b35900; }
.wait { fill: none; stroke: #8c959f; stroke-dasharray: 3 3; } .step { fill: #1a7f37; }
.line { stroke: #1f2328; stroke-width: 1.3; fill: none; }
.answer { stroke: #1a7f37; stroke-width: 1.3; fill: none; }
.head { fill: #1f2328; } .answerhead { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  svg { background: #1e2129; } text { fill: #e6e8ee; } .quiet { fill: #a9b1bd; }
  .page { fill: #1e2129; } .lane { fill: #2a2f3a; } .box { fill: #2a2f3a; stroke: #7d8796; }
  .batch { fill: #1d3f72; stroke: #79b0ff; } .other { fill: #5f3d09; stroke: #f0b458; }
  .wait { stroke: #7d8796; } .step { fill: #56d364; } .line { stroke: #e6e8ee; }
  .answer { stroke: #56d364; } .head { fill: #e6e8ee; } .answerhead { fill: #56d364; }
}
""".strip()
HEADS = "".join(
    f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    f'orient="auto"><path class="{kind}" d="M0 0 L8 4 L0 8 z"/></marker>'
    for name, kind in (("to", "head"), ("back", "answerhead"))
)


@dataclass
class Picture:
    """An SVG that grows piece by piece; `about` is what a screen reader says."""

    width: float
    height: float
    about: str
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>')

    def box(self, x: float, y: float, w: float, h: float, kind: str, round: int = 3) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{round}" class="{kind}"/>'
        )

    def line(self, *points: tuple[float, float], kind: str = "line", head: str = "to") -> None:
        path = " L".join(f"{x:g} {y:g}" for x, y in points)
        end = f' marker-end="url(#{head})"' if head else ""
        self.parts.append(f'<path d="M{path}" class="{kind}"{end}/>')

    def dot(self, x: float, y: float) -> None:
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" class="step"/>')

    def __str__(self) -> str:
        size = f'width="{self.width}" height="{self.height}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
            f'viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{self.about}">',
            f"<title>{self.about}</title>",
            f"<style>{STYLE}</style>",
            f"<defs>{HEADS}</defs>",
            f'<rect width="{self.width}" height="{self.height}" rx="6" class="page"/>',
            *self.parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


LEFT, SCALE = 92, 13
WORKERS, SERVER, TALL = (46, 166), 106, 30
#: How long each batch takes: the second worker is the slower one.
SPEEDS = ((3,) * 16, (4, 5, 4, 4, 6, 4, 4, 4, 4, 4, 4, 4))
END = 44
KINDS = ("batch", "other")


def at(time: float) -> float:
    return LEFT + SCALE * time


def stage(about: str, middle: str = "server") -> Picture:
    """Lanes for two workers, and what is between them."""
    picture = Picture(at(END) + 16, 236, about)
    lanes = [(WORKERS[0], "worker 0"), (SERVER, middle), (WORKERS[1], "worker 1")]
    for y, name in lanes:
        if name:
            picture.box(8, y - TALL / 2 - 4, picture.width - 16, TALL + 8, "lane")
            picture.text(16, y + 4, name, "bold")
    picture.line((LEFT, 218), (at(END), 218), head="to")
    picture.text(at(END), 212, "time", "small quiet end")
    return picture


def batch(picture: Picture, worker: int, begin: float, length: float, name: str) -> None:
    x, y = at(begin), WORKERS[worker] - TALL / 2
    picture.box(x + 1, y, SCALE * length - 2, TALL, KINDS[worker])
    picture.text(x + SCALE * length / 2, WORKERS[worker] + 4, name, "small middle")


def wait(picture: Picture, worker: int, begin: float, end: float) -> None:
    if end - begin > 0.6:
        y = WORKERS[worker] - TALL / 2
        picture.box(at(begin) + 2, y + 3, SCALE * (end - begin) - 4, TALL - 6, "wait")
    if end - begin > 3:
        middle = at((begin + end) / 2)
        picture.text(middle, WORKERS[worker] + 4, "waits", "small quiet middle")


def edge(worker: int) -> float:
    """Where arrows leave a worker's lane, towards the middle."""
    return WORKERS[worker] + (TALL / 2 if worker == 0 else -TALL / 2)


def near(worker: int) -> float:
    """Where they reach the server's lane."""
    return SERVER - 10 if worker == 0 else SERVER + 10


def push(picture: Picture, worker: int, time: float) -> None:
    picture.line((at(time), edge(worker)), (at(time + 0.5), near(worker)))


def answer(picture: Picture, worker: int, time: float) -> None:
    path = (at(time), near(worker)), (at(time + 0.5), edge(worker))
    picture.line(*path, kind="answer", head="back")


def step(picture: Picture, time: float, version: int) -> None:
    picture.dot(at(time), SERVER)
    picture.text(at(time) + 7, SERVER + 4, f"w{version}", "small")


def synchronous() -> Picture:
    picture = stage("Synchronous rounds: each step waits for the gradients of both workers")
    time, number = 0.0, 0
    while time + max(SPEEDS[0][number], SPEEDS[1][number]) + 1.5 <= END:
        ends = [time + SPEEDS[worker][number] for worker in (0, 1)]
        last = max(ends)
        for worker in (0, 1):
            batch(picture, worker, time, SPEEDS[worker][number], "g")
            push(picture, worker, ends[worker])
            wait(picture, worker, ends[worker], last + 1.4)
            answer(picture, worker, last + 0.8)
        number += 1
        step(picture, last + 0.7, number)
        time = last + 1.5
    return picture


def arrivals(end: float) -> list[tuple[float, int, float, int]]:
    """(push, worker, begin of its batch, number) where nobody waits for anybody, by time."""
    found = []
    for worker in (0, 1):
        time, number = 0.0, 0
        while time + SPEEDS[worker][number] + 1.5 <= end:
            found.append((time + SPEEDS[worker][number], worker, time, number))
            time += SPEEDS[worker][number] + 1.3
            number += 1
    return sorted(found)


def asynchronous() -> Picture:
    picture = stage(
        "Asynchronous: each gradient enters at once, divided by what it missed plus one"
    )
    seen = [0, 0]
    for version, (time, worker, begin, number) in enumerate(arrivals(END), 1):
        missed = version - 1 - seen[worker]
        batch(picture, worker, begin, SPEEDS[worker][number], f"g/{missed + 1}" if missed else "g")
        push(picture, worker, time)
        answer(picture, worker, time + 0.8)
        picture.dot(at(time + 0.7), SERVER)
        seen[worker] = version
    return picture


def hogwild() -> Picture:
    about = "Hogwild on one machine: both workers add to the weights in shared memory, with no lock"
    picture = stage(about, "")
    y = SERVER - 12
    picture.box(8, y - 7, picture.width - 16, 38, "lane")
    picture.text(16, SERVER + 4, "weights", "bold")
    for number in range(24):
        x = LEFT + number * (SCALE * END - 8) / 24
        picture.box(x, y, (SCALE * END - 8) / 24 - 2, 24, "box")
    for worker in (0, 1):
        time, number = 0.0, 0
        while time + SPEEDS[worker][number] + 0.8 <= END:
            length = SPEEDS[worker][number]
            batch(picture, worker, time, length, "g")
            for part in (0.0, 0.25, 0.5):
                path = (at(time + length + part - 0.3), edge(worker))
                picture.line(path, (path[0], near(worker) + (1 if worker else -1)))
            time += length + 0.8
            number += 1
    return picture


def frequency() -> Picture:
    rows = (("'batch'", 1), ("3", 3), ("'epoch'", 12))
    about = "Frequencies: a gradient after each batch, or a difference of weights after several"
    picture = Picture(LEFT + 12 * 44 + 70, 248, about)
    for row, (name, every) in enumerate(rows):
        y = 34 + row * 72
        picture.box(8, y - 20, picture.width - 16, 40, "lane")
        picture.text(16, y + 4, name, "bold")
        for number in range(12):
            x = LEFT + number * 44
            picture.box(x + 1, y - 14, 34, 28, "batch")
            picture.text(x + 18, y + 4, f"{number + 1}", "small middle")
            if (number + 1) % every == 0:
                picture.line((x + 36, y + 14), (x + 36, y + 33))
                picture.line((x + 41, y + 33), (x + 41, y + 16), kind="answer", head="back")
                what = "g" if every == 1 else "d"
                picture.text(x + 30, y + 32, what, "small end")
    words = (
        "one worker, an epoch of 12 batches: g a gradient, d what 3 or 12 own steps have changed"
    )
    picture.text(16, 240, words, "small quiet")
    return picture


def allreduce() -> Picture:
    about = "All-reduce: workers add their gradients up among themselves, and each makes the step"
    picture = stage(about, "")
    time, number = 0.0, 0
    while time + max(SPEEDS[0][number], SPEEDS[1][number]) + 2 <= END:
        ends = [time + SPEEDS[worker][number] for worker in (0, 1)]
        last = max(ends)
        for worker in (0, 1):
            batch(picture, worker, time, SPEEDS[worker][number], "g")
            wait(picture, worker, ends[worker], last)
            picture.box(at(last + 1), WORKERS[worker] - 11, SCALE * 0.8, 22, "step", 2)
        middle = at(last + 0.5)
        picture.line((middle, SERVER), (middle, edge(0) + 2))
        picture.line((middle, SERVER), (middle, edge(1) - 2))
        picture.text(middle + 8, SERVER + 4, "Σ", "small")
        time, number = last + 2, number + 1
    words = "no server between them; the green bars are the same step at each worker"
    picture.text(16, 212, words, "small quiet")
    return picture


def overlap() -> Picture:
    picture = stage("Overlap: a worker computes the next gradient while the last one travels")
    for worker in (0, 1):
        time, number = 0.0, 0
        while time + SPEEDS[worker][number] + 2.5 <= END:
            batch(picture, worker, time, SPEEDS[worker][number] - 0.2, "g")
            time += SPEEDS[worker][number]
            picture.line((at(time), edge(worker)), (at(time + 1), near(worker)))
            picture.dot(at(time + 1.1), SERVER)
            path = (at(time + 1.2), near(worker)), (at(time + 2.2), edge(worker))
            picture.line(*path, kind="answer", head="back")
            number += 1
    return picture


def rooms() -> Picture:
    """The rooms of docs/architecture.md; tests/test_architecture.py has their floors."""
    picture = Picture(660, 390, "The rooms of the package: each uses those below it")
    rooms = (
        (20, 20, 620, "drive", "spark_model, ml_model, run, jobs, sources, scoring, utils, ml …"),
        (20, 115, 620, "work", "worker, exchange, data, arrow, store, allreduce, cluster …"),
        (20, 210, 296, "share", "parameter: the server and its clients"),
        (344, 210, 296, "define", "keras: the facade"),
        (20, 305, 620, "ground", "optimizers, constraints, flat, errors, page"),
    )
    for x, y, width, name, modules in rooms:
        picture.box(x, y, width, 58, "box", 6)
        picture.text(x + 14, y + 24, name, "bold")
        picture.text(x + 14, y + 44, modules, "small quiet")
    for x in (168, 492):
        for y in (78, 173, 268):
            picture.line((x, y), (x, y + 35))
    picture.text(330, 244, "≠", "middle")
    picture.text(178, 101, "imports", "small quiet")
    words = "share and define don't know each other; neither they nor ground know Spark"
    picture.text(20, 382, words, "small quiet")
    return picture


def fit() -> Picture:
    """Who is where while a model is fitted."""
    picture = Picture(
        720, 268, "A fit: the driver sends the model, workers exchange with the server"
    )
    picture.box(16, 34, 250, 214, "lane", 6)
    picture.text(28, 24, "driver", "bold")
    picture.box(404, 34, 300, 214, "lane", 6)
    picture.text(416, 24, "executors", "bold")
    processes = (
        (48, "SparkModel", "your model, progress, callbacks"),
        (160, "parameter server", "a process of its own: the weights"),
    )
    for y, name, what in processes:
        picture.box(30, y, 222, 70, "box", 5)
        picture.text(42, y + 30, name, "bold")
        picture.text(42, y + 50, what, "small quiet")
    for number, y in enumerate((48, 118, 188)):
        picture.box(418, y, 272, 50, "box", 5)
        picture.text(430, y + 21, f"worker {number}", "bold")
        picture.text(430, y + 39, f"partition {number}: tensors, forward, backward", "small quiet")
        picture.line((418, y + 22), (254, 184 + 14 * number))
        picture.line((252, 190 + 14 * number), (416, y + 34), kind="answer", head="back")
    picture.line((252, 72), (402, 58))
    picture.text(276, 54, "model, once", "small")
    picture.text(330, 112, "updates", "small middle")
    picture.text(330, 244, "weights", "small middle")
    return picture


PICTURES: dict[str, Callable[[], Picture]] = {
    "allreduce": allreduce,
    "asynchronous": asynchronous,
    "fit": fit,
    "frequency": frequency,
    "hogwild": hogwild,
    "overlap": overlap,
    "rooms": rooms,
    "synchronous": synchronous,
}


def main(folder: Path = FOLDER) -> None:
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / f"{name}.svg").write_text(str(draw()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
