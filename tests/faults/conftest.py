"""A standalone Spark cluster on this machine, whose parts can be killed, stopped and cut off.

It is pip's pyspark: a master, and workers that are processes of their own, on addresses of their
own. Programs come to it by `spark-submit`, and bring this package as a zip.

With `network` each worker is in a network namespace: its own interface and address, and a router
between them that delays, loses and blocks packets. That router is a thread of the test, between
TUN devices, as `tc netem` and packet filters aren't in every kernel; what is on either side of it
is the kernel's own network.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: An environment variable, by whose value all that a cluster has started is found.
MARK = "ELEPHAS_TORCH_FAULTS"
JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
CORES = 2  # of each worker; an application gets one of each, unless it asks for more


def until(what, seconds, wait=0.05):
    """Waits until `what()` is true, and gives it; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, f"waited {seconds} s for {what.__name__}"
        time.sleep(wait)
    return found


class Network:
    """A router and the network namespaces behind it: 10.200.0.1 is this machine, worker n is
    10.200.0.{11 + n}.

    Attributes:
        delay: seconds that each packet takes.
        loss: the share that is lost.
        cut: the workers that are cut off.
        blocked: TCP ports that no packet comes to.
    """

    HOST = "10.200.0.1"

    def __init__(self, count):
        self.spaces = [f"elephas-{os.getpid()}-{n}" for n in range(count)]
        self._devices, self._over, self._thread = {}, threading.Event(), None
        self._random = random.Random(0)
        self.free()
        _remove_spaces_of_the_dead()
        try:
            self._device(1, None)
            for number, space in enumerate(self.spaces):
                _ip("netns", "add", space)
                self._device(11 + number, space)
        except BaseException:
            self.close()
            raise
        self._thread = threading.Thread(target=self._route, daemon=True)
        self._thread.start()

    def free(self):
        """Lets all packets through."""
        self.delay, self.loss, self.cut, self.blocked = 0.0, 0.0, set(), set()

    def address(self, number):
        """A worker's."""
        return f"10.200.0.{11 + number}"

    def close(self):
        """Takes all of it away."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)
        for device in self._devices.values():
            os.close(device)  # which ends the interface
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)

    def _device(self, last, space):
        name = f"el{os.getpid() % 10**8}n{last}"
        device = os.open("/dev/net/tun", os.O_RDWR)
        self._devices[last] = device
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1001))
        inside = []
        if space is not None:
            _ip("link", "set", name, "netns", space)
            inside = ["-n", space]
            _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "addr", "add", f"10.200.0.{last}/24", "dev", name)
        _ip(*inside, "link", "set", name, "mtu", "9000", "up")

    def _route(self):
        waiting, count = [], itertools.count()
        while not self._over.is_set():
            pause = 0.2 if not waiting else max(waiting[0][0] - time.monotonic(), 0)
            for device in select.select([*self._devices.values()], [], [], min(pause, 0.2))[0]:
                packet = os.read(device, 65536)
                if self._passes(packet):
                    heapq.heappush(waiting, (time.monotonic() + self.delay, next(count), packet))
            while waiting and waiting[0][0] <= time.monotonic():
                packet = heapq.heappop(waiting)[2]
                os.write(self._devices[packet[19]], packet)

    def _passes(self, packet):
        if packet[0] >> 4 != 4 or packet[19] not in self._devices:
            return False
        if self.cut & {packet[15] - 11, packet[19] - 11}:
            return False
        start = 4 * (packet[0] & 15)
        if packet[9] == 6 and int.from_bytes(packet[start + 2 : start + 4], "big") in self.blocked:
            return False
        return self._random.random() >= self.loss


def _remove_spaces_of_the_dead():
    """Of tests that were killed."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False)
    for name, pid in re.findall(r"^(elephas-(\d+)-\d+)", listed.stdout, re.MULTILINE):
        if not Path(f"/proc/{pid}").exists():
            _ip("netns", "del", name)


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def no_network():
    """Why there can be no namespaces here; None: there can."""
    if os.geteuid() or not shutil.which("ip") or not os.access("/dev/net/tun", os.W_OK):
        return "needs root, the command ip and /dev/net/tun"
    try:
        Network(1).close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces don't work here: {getattr(error, 'stderr', error)}"
    return None


class Cluster:
    """A master, and workers by number.

    Args:
        folder: for all that it writes.
        network: what workers are behind; None: each has an address of 127.0.0.0/8, as Spark takes
            what has one address for one machine.

    Attributes:
        scratch: where programs put temporary files.
    """

    def __init__(self, folder, network=None):
        self.folder, self.network = folder, network
        self.scratch, self.mark = folder / "tmp", f"{os.getpid()}-{folder}"
        self.scratch.mkdir()
        self._package = _package(folder / "elephas_torch.zip")
        self._daemons, self._started = {}, itertools.count()
        self._program, self._inbox, self._conf, self._memory = None, None, None, in_memory()
        self.host = "127.0.0.1" if network is None else network.HOST
        at = ["--host", self.host, "--port", "0", "--webui-port", "0"]
        self._master, log = self._daemon("master.Master", at, self.host, [])
        found = r"Starting Spark master at (spark://\S+)"
        self.master = until(lambda: re.search(found, log.read_text()), 60)[1]

    def need(self, workers):
        """Sees to it that so many workers run."""
        logs = [self.start(n) for n in range(workers) if not self.runs(n)]
        for log in logs:
            until(lambda log=log: "Successfully registered" in log.read_text(), 60)

    def runs(self, number):
        """Whether this worker does."""
        return number in self._daemons and self._daemons[number].poll() is None

    def start(self, number):
        """Starts a worker; returns its log."""
        net = self.network
        host = f"127.0.0.{2 + number}" if net is None else net.address(number)
        inside = [] if net is None else ["ip", "netns", "exec", net.spaces[number]]
        at = ["--host", host, "--port", "0", "--webui-port", "0", "-c", str(CORES), "-m", "2g"]
        arguments = [*at, "-d", str(self.folder / "work"), self.master]
        self._daemons[number], log = self._daemon("worker.Worker", arguments, host, inside)
        return log

    def kill(self, number):
        """Kills a worker; Spark's executors end themselves then."""
        worker = self._daemons.pop(number)
        worker.kill()
        worker.wait()

    def worker_of(self, pid):
        """The number of the worker that a process belongs to."""
        above = {pid, *ancestors(pid)}
        return next(n for n, one in self._daemons.items() if one.pid in above)

    def executor_of(self, pid):
        """The executor's process that a Python worker belongs to."""
        return next(one for one in ancestors(pid) if "CoarseGrained" in command(one))

    def processes(self):
        """What programs have running here: process id -> command."""
        ours = {self._master.pid, *(one.pid for one in self._daemons.values())}
        found = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        mark = f"{MARK}={self.mark}\0".encode()
        return {pid: command(pid) for pid in found if pid not in ours and mark in environment(pid)}

    def server(self):
        """The process of the parameter server that runs."""
        (found,) = [pid for pid, line in self.processes().items() if "elephas_torch.param" in line]
        return found

    def begin(self, script, *args, conf=None, master=None, py_files=()):
        """Starts `spark-submit`; `end` waits for it."""
        settings = {
            "spark.ui.enabled": "false",
            "spark.driver.host": self.host,
            "spark.driver.bindAddress": self.host,
            "spark.executor.cores": 1,
            "spark.cores.max": 2,
            "spark.executor.memory": "512m",
            "spark.driver.memory": "512m",
            "spark.driver.extraJavaOptions": JVM,
            "spark.executor.extraJavaOptions": JVM,
            **(conf or {}),
        }
        return self._process(
            self.folder / f"submit-{next(self._started)}.log",
            self.host,
            [
                bin_folder() / "spark-submit", "--master", master or self.master,
                *itertools.chain(*(("--conf", f"{k}={v}") for k, v in settings.items())),
                "--py-files", ",".join(map(str, (self._package, *py_files))),
                str(script), *map(str, args),
            ],
        )  # fmt: skip

    def end(self, process, seconds=120):
        """Waits for a program; returns its exit code and output. Fails where it takes longer."""
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"took longer than {seconds} s\n{self.said()[-6000:]}")
        return code, self.said()

    def submit(self, script, *args, seconds=120, **more):
        """Runs a program by `spark-submit`; returns its exit code and output."""
        return self.end(self.begin(script, *args, **more), seconds)

    def ask(self, script, asked, conf):
        """Gives a program, that takes one thing after the other to do, the next one; starts it
        where it doesn't run with these settings. Returns its process."""
        if self._program is None or self._program.poll() is not None or self._conf != conf:
            self.quit()
            self._inbox, self._conf = self.folder / f"inbox-{next(self._started)}", conf
            self._inbox.mkdir()
            self._program = self.begin(script, self._inbox, conf=conf)
        beside = self._inbox / "next"
        beside.write_text(json.dumps(asked))
        beside.rename(self._inbox / f"{len([*self._inbox.glob('*.json')])}.json")
        return self._program

    def quit(self):
        """Ends the program; nothing of it may be left."""
        if self._program is None:
            return
        program, self._program = self._program, None
        if program.poll() is None:
            (self._inbox / "quit").touch()
            code, said = self.end(program, 60)
            assert code == 0, said[-4000:]
        self.assert_nothing_left()

    def abandon(self):
        """Ends the program in whatever state it is."""

        def all_gone():
            left = self.processes()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        until(all_gone, 20)
        if self._program is not None:
            self._program.wait()
        self._program = None
        for one in self.scratch.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()

    def assert_nothing_left(self, killed="", seconds=20):
        """No process of a program that has ended, so no port; nor a server that serves, where it
        goes on; no temporary file, no shared memory.

        Args:
            killed: temporary files that a driver may leave for the next one to take away.
        """

        def what_runs():
            found = self.processes()
            if self._program is None or self._program.poll() is not None:  # or its JVM
                return found
            return {n: one for n, one in found.items() if "elephas_torch.par" in one and listens(n)}

        def of_ours():
            return {n: one for n, one in what_runs().items() if "/bin/java " not in one}

        def ours_ended():
            return not of_ours()

        def all_ended():
            return not what_runs()

        # An executor of Spark's finds out in its own time that its driver was killed.
        for ended, wait in ((ours_ended, seconds), (all_ended, 90)):
            try:
                until(ended, wait)
            except AssertionError:
                pytest.fail(f"still runs: {what_runs()}")
        assert [one.name for one in self.scratch.iterdir() if not fnmatch(one.name, killed)] == []
        assert in_memory() <= self._memory

    def said(self):
        """The output of the last program."""
        logs = self.folder.glob("submit-*.log")
        return max(logs, key=lambda one: int(one.stem.split("-")[1])).read_text()

    def close(self):
        """Ends all, and takes care that it has."""
        for daemon in (*self._daemons.values(), self._master):
            daemon.kill()
            daemon.wait()
        self._daemons.clear()
        self.abandon()

    def _daemon(self, name, arguments, host, inside):
        log = self.folder / f"{name}-{next(self._started)}.log"
        line = [bin_folder() / "spark-class", f"org.apache.spark.deploy.{name}", *arguments]
        return self._process(log, host, [*inside, *line]), log

    def _process(self, log, host, line):
        with log.open("w") as output:
            return subprocess.Popen(
                line, env=self._environment(host), cwd=self.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                preexec_fn=_die_with_the_tests,
            )  # fmt: skip

    def _environment(self, host):
        (self.folder / "local").mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
        return {
            **kept,
            MARK: self.mark,
            "TMPDIR": str(self.scratch),
            "PYSPARK_PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            "SPARK_LOCAL_IP": host,
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": JVM,
            "JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={self.folder / 'local'}",
        }


def _die_with_the_tests():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def bin_folder():
    import pyspark

    return Path(pyspark.__file__).parent / "bin"


def _package(path):
    with zipfile.ZipFile(path, "w") as file:
        for one in (ROOT / "elephas_torch").rglob("*"):
            if one.is_file() and "__pycache__" not in one.parts:
                file.write(one, one.relative_to(ROOT))
    return path


def environment(pid):
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def ancestors(pid):
    """The processes above one, the nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def listens(pid):
    """Whether a process has a port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ports = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[3] == "0A"}
    try:
        return any(os.readlink(one) in ports for one in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def in_memory():
    """What is in shared memory and may be ours; other programs' comes and goes."""
    found = Path("/dev/shm").glob("*") if Path("/dev/shm").is_dir() else ()
    return {one.name for one in found if one.name.startswith(("elephas", "torch"))}


@pytest.fixture(scope="module")
def plain_cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def network_cluster(tmp_path_factory):
    if why := no_network():
        pytest.skip(why)
    network = Network(3)
    try:
        made = Cluster(tmp_path_factory.mktemp("network"), network)
        yield made
        made.close()
    finally:
        network.close()


@pytest.fixture
def cluster(request):
    """A `Cluster` that nothing runs on: with a `network` where the test's parameter `networked` is
    true, else without. Call `need(workers)` first."""
    networked = "case" in request.fixturenames and request.getfixturevalue("case").network
    made = request.getfixturevalue("network_cluster" if networked else "plain_cluster")
    failures = request.session.testsfailed
    yield made
    if networked:
        made.network.free()
    if request.session.testsfailed > failures:  # the next one is to begin with nothing
        made.abandon()
