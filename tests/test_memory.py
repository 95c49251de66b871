"""Sizes as Spark spells them, and what is free."""

import pytest

from elephas_torch import memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (None, None),
        (1 << 20, 1 << 20),
        ("1048576", 1 << 20),
        ("1048576b", 1 << 20),
        ("2048k", 2 << 20),
        ("512m", 512 << 20),
        (" 512 MB ", 512 << 20),
        ("2g", 2 * GIB),
        ("2gb", 2 * GIB),
        ("1T", 1 << 40),
        ("1pb", 1 << 50),
    ],
)
def test_sizes(size, count):
    assert memory.parsed(size) == count


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        ("1.5g", ValueError, "whole number .*Received: '1.5g'"),
        ("-1g", ValueError, "whole number"),
        ("g", ValueError, "whole number"),
        ("", ValueError, "whole number"),
        ("1gib", ValueError, "whole number"),
        (512, ValueError, "512 is 512 bytes. A number without a unit is in bytes"),
        ("100k", ValueError, "'100k' is 102,400 bytes"),
        (0, ValueError, "at least 1m"),
        (1.5e9, TypeError, "Received: 1500000000.0 of type float"),
        (True, TypeError, "of type bool"),
    ],
)
def test_what_is_no_size(size, error, message):
    with pytest.raises(error, match=message):
        memory.parsed(size)


def system(root, free_kib, total_kib, groups="", files=()):
    """A folder that looks like Linux's root."""
    for name, text in {
        "proc/meminfo": f"MemTotal: {total_kib} kB\nMemAvailable:  {free_kib} kB\nPages: 7\n",
        "proc/self/cgroup": groups,
        **dict(files),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def group(folder, limit, usage, cache, version):
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    texts = (f"{limit}\n", f"{usage}\n", f"anon 5\n{names[2]} {cache}\n")
    return dict(zip((f"{folder}/{n}" for n in (*names[:2], "memory.stat")), texts, strict=True))


@pytest.mark.parametrize(("free", "short"), [(4, True), (5, False), (20, False)])
def test_a_quarter_of_the_machine_must_be_free(tmp_path, free, short):
    assert memory.is_short(system(tmp_path, free, 20)) is short


V1, V2 = "sys/fs/cgroup/memory", "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("groups", "files", "short"),
    [
        ("0::/a/b\n", group(f"{V2}/a/b", 400, 350, 0, 2), True),
        ("0::/a/b\n", group(f"{V2}/a/b", 400, 350, 50, 2), False),
        ("0::/a/b\n", group(f"{V2}/a", 400, 350, 0, 2), True),
        ("0::/a/b\n", group(V2, 400, 350, 0, 2), True),
        ("0::/a/b\n", group(f"{V2}/a/b", "max", 350, 0, 2), False),
        ("3:cpu,memory:/a\n0::/\n", group(f"{V1}/a", 400, 350, 0, 1), True),
        ("3:cpu,memory:/a\n0::/\n", group(V1, 400, 350, 0, 1), True),
        ("3:memory:/a\n", group(f"{V1}/a", 2**63 - 4096, 350, 0, 1), False),
        ("3:memory:/a\n", {}, False),
    ],
)
def test_a_quarter_of_the_container_must_be_free(tmp_path, groups, files, short):
    assert memory.is_short(system(tmp_path, 20, 20, groups, files)) is short


def test_where_nothing_can_be_known_nothing_is_short(tmp_path):
    assert list(memory._machine(tmp_path)) == list(memory._containers(tmp_path)) == []


def test_this_system_s_memory_is_known():
    free, total = next(memory.limits())
    assert 0 < free <= total


def test_a_limited_address_space(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    assert list(memory._address_space()) == []
    resource.setrlimit(resource.RLIMIT_AS, (1 << 46, before[1]))
    try:
        ((free, total),) = memory._address_space()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert 0 < free < total == 1 << 46


def test_a_budget_with_a_limit():
    budget = memory.Budget(100)
    assert budget.buffer == 50
    assert [budget.is_over(held) for held in (1, 100, 101)] == [False, False, True]


def test_a_budget_without_a_limit_looks_now_and_then(monkeypatch):
    looks = []
    monkeypatch.setattr(memory, "is_short", lambda: bool(looks.append(1)) or len(looks) > 1)
    budget = memory.Budget()
    assert budget.buffer == memory.SMALL
    sizes = [memory.SMALL // 2 * n for n in range(6)]
    assert [budget.is_over(size) for size in sizes] == [False] * 4 + [True, False]
    assert len(looks) == 2
