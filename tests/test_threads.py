"""Threads change how long a call takes, never what it returns; a service may fork, and call from many threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ecocore import InvalidArgument, _core, get_num_threads, set_num_threads
from ecocore.arrays import Csr

fork_warns = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("ECOCORE_NUM_THREADS", "OMP_NUM_THREADS")} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(autouse=True)
def automatic_afterwards():
    yield
    set_num_threads(0)


@pytest.fixture(scope="module")
def matrix() -> Csr:
    """Large enough that its transpose is cut into parts."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 30, 20_000)
    indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    indices = np.concatenate([np.sort(rng.permutation(200)[:n]) for n in sizes]).astype(np.int32)
    return Csr(indptr, indices, rng.random(indices.size).astype(np.float32), (20_000, 200))


def bits(m: Csr, num_threads: int) -> bytes:
    t = m.transpose(num_threads)
    return t.indptr.tobytes() + t.indices.tobytes() + t.values().tobytes()


# ---- how many --------------------------------------------------------------------------------------------------


def usable_cpus() -> int:
    """The affinity mask and the cgroup's quota, as the kernel documents them."""
    cpus = len(os.sched_getaffinity(0))
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            group = Path("/sys/fs/cgroup") / line[3:].strip("/")
            for folder in [group, *group.parents]:
                if folder.is_relative_to("/sys/fs/cgroup") and (folder / "cpu.max").is_file():
                    quota, period = (folder / "cpu.max").read_text().split()
                    if quota != "max":
                        cpus = min(cpus, -(-int(quota) // int(period)))
    return max(1, cpus)


GET = "import ecocore; print(ecocore.get_num_threads())"


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, usable_cpus()),
        ({"ECOCORE_NUM_THREADS": "3"}, 3),
        ({"ECOCORE_NUM_THREADS": "1024"}, 1024),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "6,2"}, 6),
        ({"ECOCORE_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"ECOCORE_NUM_THREADS": "", "OMP_NUM_THREADS": ""}, usable_cpus()),
        ({"OMP_NUM_THREADS": "many"}, usable_cpus()),  # not our variable: what we cannot read is not ours to refuse
    ],
)
def test_count_comes_from_the_environment(environment, count):
    out = run(GET, **environment)
    assert out.stdout.strip() == str(count), out.stderr


@pytest.mark.parametrize("bad", ["0", "-1", "2.5", "two", "1025", "99999999999999999999", "4,2", "3 ", "0x4"])
def test_bad_counts_in_our_variable_raise(bad):
    out = run(f"import ecocore; print('imported'); {GET}", ECOCORE_NUM_THREADS=bad)
    assert out.stdout == "imported\n"
    assert f"InvalidArgument: ECOCORE_NUM_THREADS: expected a whole number from 1 to 1024; got '{bad}'" in out.stderr


def test_affinity_mask_is_respected():
    out = run("import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + GET)
    assert out.stdout.strip() == "1", out.stderr


def test_set_num_threads_beats_the_environment():
    code = "import ecocore; ecocore.set_num_threads(7); print(ecocore.get_num_threads());"
    code += "ecocore.set_num_threads(0); print(ecocore.get_num_threads(), ecocore.build_info()['num_threads'])"
    assert run(code, ECOCORE_NUM_THREADS="3").stdout.split() == ["7", "3", "3"]


@pytest.mark.parametrize("bad", [-1, 1025])
def test_set_num_threads_refuses(bad):
    before = get_num_threads()
    with pytest.raises(InvalidArgument, match=f"num_threads: expected 0 \\(automatic\\) to 1024; got {bad}"):
        set_num_threads(bad)
    assert get_num_threads() == before


# ---- what is computed ------------------------------------------------------------------------------------------


def test_same_bits_for_any_number_of_threads(matrix):
    want = bits(matrix, 1)
    for n in (2, 3, 8, 64):
        assert bits(matrix, n) == want


def test_many_python_threads_at_once(matrix):
    want = bits(matrix, 1)
    wrong: list[int] = []

    def call(i: int) -> None:
        wrong.extend(n for n in range(15) if bits(matrix, 1 + (i + n) % 5) != want)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_the_gil_is_released(matrix):
    """While one thread is inside native code another one goes on, or it would be locked out until the last call."""
    ticks = calls = 0
    done = threading.Event()

    def native() -> None:
        nonlocal calls
        while ticks < 10 and calls < 3000:
            _core.transpose_csr(matrix.indptr, matrix.indices, matrix.data, matrix.shape[1], 1)
            calls += 1
        done.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # the GIL changes hands only where it is given away
    try:
        thread = threading.Thread(target=native)
        thread.start()
        while not done.is_set():
            ticks += 1
            time.sleep(0)
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert ticks >= 10, f"{ticks} turns in {calls} native calls"


def test_the_number_of_threads_may_change_while_calls_run(matrix):
    want = bits(matrix, 1)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for n in (0, 1, 5, 9):
                set_num_threads(n)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            assert bits(matrix, 0) == want
    finally:
        stop.set()
        thread.join()


# ---- fork ------------------------------------------------------------------------------------------------------


def wait_for(child: int, seconds: float = 30) -> int:
    """The child's exit code; a child that hangs is killed and fails the test."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked child hung")


def fork_and_compute(matrix: Csr, want: bytes) -> int:
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = 0 if bits(matrix, 4) == want and bits(matrix, 2) == want else 1
        finally:
            os._exit(code)
    return wait_for(child)


@fork_warns
def test_forked_child_computes_the_same_and_exits(matrix):
    want = bits(matrix, 4)
    for _ in range(5):
        assert fork_and_compute(matrix, want) == 0
    assert bits(matrix, 4) == want, "the parent's pool still works"


@fork_warns
def test_fork_while_other_threads_are_inside_calls(matrix):
    want = bits(matrix, 4)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            bits(matrix, 4)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        codes = [fork_and_compute(matrix, want) for _ in range(8)]
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert codes == [0] * 8


def in_worker(arguments: tuple[Csr, int]) -> bytes:
    return bits(*arguments)


@fork_warns
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(matrix, method):
    want = bits(matrix, 4)
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.map_async(in_worker, [(matrix, 1), (matrix, 3), (matrix, 4)]).get(timeout=60)
    assert answers == [want] * 3


IN_A_LOOP = """
n = 400_000
indptr = np.arange(0, 10 * n + 1, 10)
indices = np.tile(np.arange(10, dtype=np.int32), n)
def call():
    _core.transpose_csr(indptr, indices, None, 10, 4)
"""
CALLING_BACK = """
def advance(indptr, ids, h, c):
    time.sleep(0.01)
    return h, None, np.empty((len(h), 0), np.float32)
store = _core.SessionStates(
    advance, state=2, has_cell=False, query=0, has_types=False, has_gaps=False, gap_edges=[],
    capacity=9, ttl=0.0, history=0, max_batch=9, max_delay=0.0)
def call():
    store.append(threading.get_ident(), 1, 0, 0.0, 0.0)
    store.counters()
"""


@pytest.mark.parametrize("calls", [IN_A_LOOP, CALLING_BACK], ids=["in a loop", "calling back"])
def test_exits_cleanly_while_a_daemon_thread_is_inside_a_call(calls):
    code = f"""
import threading, time, numpy as np
from ecocore import _core
{calls}
def forever():
    while True:
        call()
for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
print("bye")
"""
    out = run(code)
    assert (out.returncode, out.stdout, out.stderr) == (0, "bye\n", "")
