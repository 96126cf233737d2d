"""A model folder is the old model or the new one, whatever happens; and no folder, however hostile, does harm."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecocore import FormatError, InvalidArgument, storage
from ecocore.storage import read_folder, read_manifest, write_folder

ARRAYS = {
    "factors": np.arange(12, dtype=np.float32).reshape(4, 3),
    "ids": np.array([7, 1, 9], np.int64),
    "names": np.array(["chèvre", "öl", ""]),
    "nothing": np.empty((0, 5)),
    "owner.scalar": np.array(3.5),
    "days": np.array(["2024-02-29"], "M8[D]"),
}
META = {"text": "é\u2028", "n": 1, "x": 0.1, "none": None, "list": [True, {"deep": []}]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_folder(tmp_path / "model", "als", META, ARRAYS)
    return tmp_path / "model"


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, array in want.items():
        assert got[name].shape == np.shape(array)
        np.testing.assert_array_equal(got[name], array)


def array_file(folder: Path, name: str) -> Path:
    return folder / json.loads((folder / "manifest.json").read_text())["arrays"][name]["file"]


def edit(folder: Path, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


# ---- what goes in comes out ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_round_trip(model, mmap, verify):
    meta, arrays = read_folder(model, "als", mmap=mmap, verify=verify)
    assert meta == META
    assert_same(arrays, ARRAYS)
    for array in arrays.values():
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.writeable is not mmap


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(
        st.one_of(hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.floating_dtypes(), hnp.unicode_string_dtypes()),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    transpose=st.booleans(),
)
def test_round_trip_of_any_array(tmp_path, array, transpose):
    array = array.T[::-1] if transpose and array.ndim else array
    write_folder(tmp_path / "m", "x", {}, {"a": array})
    for mmap in (True, False):
        got = read_folder(tmp_path / "m", "x", mmap=mmap, verify=True)[1]["a"]
        assert got.dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(got, array)


def test_numpy_alone_can_read_the_arrays(model):
    np.testing.assert_array_equal(np.load(array_file(model, "factors"), allow_pickle=False), ARRAYS["factors"])


def test_manifest_describes_the_folder(model):
    manifest = read_manifest(model)
    assert (manifest["kind"], manifest["meta"], manifest["format_version"]) == ("als", META, 1)
    assert manifest["arrays"]["factors"]["shape"] == [4, 3]
    assert manifest["arrays"]["factors"]["bytes"] == array_file(model, "factors").stat().st_size


# ---- replacing -------------------------------------------------------------------------------------------------


def test_replacing_removes_the_old_files_and_nothing_else(model):
    (model / "notes").mkdir()
    (model / "notes" / "read.me").write_text("mine")
    (model / "factors.npy").write_text("mine too")
    (model / f".factors-{'0' * 16}.tmp").write_text("left by a crash")
    kept = array_file(model, "ids")
    write_folder(model, "als", {"n": 2}, {"ids": ARRAYS["ids"]})
    assert sorted(p.name for p in model.iterdir()) == sorted(["manifest.json", kept.name, "notes", "factors.npy"])
    assert read_folder(model, "als")[0] == {"n": 2}


def test_mapped_arrays_outlive_their_replacement_and_removal(model):
    old = read_folder(model, "als")[1]["factors"]
    write_folder(model, "als", {}, {"factors": ARRAYS["factors"] + 1})
    shutil.rmtree(model)
    np.testing.assert_array_equal(old, ARRAYS["factors"])


def test_a_model_can_be_saved_over_the_files_it_is_mapped_from(model):
    meta, arrays = read_folder(model, "als")
    write_folder(model, "als", meta, arrays)
    assert_same(read_folder(model, "als", verify=True)[1], ARRAYS)


def test_saving_heals_a_damaged_file_of_the_same_content(model):
    array_file(model, "factors").write_bytes(b"x")
    write_folder(model, "als", META, ARRAYS)
    assert_same(read_folder(model, "als", verify=True)[1], ARRAYS)


def test_a_first_save_that_was_cut_off_can_be_repeated(model):
    (model / "manifest.json").unlink()
    write_folder(model, "als", META, ARRAYS)
    assert_same(read_folder(model, "als")[1], ARRAYS)


def test_makes_parent_folders(tmp_path):
    write_folder(tmp_path / "a" / "b" / "c", "x", {}, {})
    assert read_folder(tmp_path / "a" / "b" / "c", "x") == ({}, {})


# ---- what cannot be saved --------------------------------------------------------------------------------------


def test_refuses_to_write_onto_something_else(tmp_path, model):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "manifest.json").write_text('{"name": "an app"}')
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, message in [
        ("file", "is a file; choose another path"),
        ("home", "holds other files \\('thesis.tex'\\)"),
        ("web", "is not an ecocore model folder"),
        ("dangling", "is a file"),
    ]:
        with pytest.raises(InvalidArgument, match=f"path: .*{message}"):
            write_folder(tmp_path / name, "als", {}, {})
    assert (tmp_path / "file").read_text() == (tmp_path / "home" / "thesis.tex").read_text() == "precious"
    with pytest.raises(InvalidArgument, match="holds a model of kind 'als', which saving 'nlu' would destroy"):
        write_folder(model, "nlu", {}, {})
    assert_same(read_folder(model, "als")[1], ARRAYS)


@pytest.mark.parametrize(
    ("meta", "arrays", "message"),
    [
        ({}, {"a": np.array([object()])}, "arrays\\['a'\\]: .*got dtype object"),
        ({}, {"a": np.zeros(1, "f4,i4")}, "arrays\\['a'\\]: expected numbers"),
        ({}, {"a": np.zeros(1, complex)}, "complex128"),
        ({}, {"../a": np.zeros(1)}, "letters, digits, '_' and '.'; got '../a'"),
        ({}, {".a": np.zeros(1)}, "got '.a'"),
        ({}, {"a/b": np.zeros(1)}, "got 'a/b'"),
        ({}, {"": np.zeros(1)}, "got ''"),
        ({"a": {"b": [1, np.float32(2)]}}, {}, "meta\\['a'\\]\\['b'\\]\\[1\\]: .*got float32; .*item"),
        ({"a": float("nan")}, {}, "meta\\['a'\\]: expected a finite number; got nan"),
        ({1: 2}, {}, "meta: expected text keys; got 1"),
        ({"a": b"x"}, {}, "got bytes"),
    ],
)
def test_refuses_what_cannot_be_stored(model, meta, arrays, message):
    before = sorted(model.iterdir())
    with pytest.raises(InvalidArgument, match=message):
        write_folder(model, "als", meta, arrays)
    assert sorted(model.iterdir()) == before


def test_refuses_a_manifest_that_no_reader_would_take(model, monkeypatch):
    monkeypatch.setattr(storage, "_MAX_MANIFEST_BYTES", 4096)
    before = sorted(model.iterdir())
    with pytest.raises(InvalidArgument, match="meta: expected at most 4096 bytes"):
        write_folder(model, "als", {"a": "x" * 5000}, {"new": np.ones(3)})
    assert sorted(model.iterdir()) == before


# ---- broken and hostile folders --------------------------------------------------------------------------------


def first(manifest, **changes):
    manifest["arrays"]["factors"].update(changes)


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as f:
        f.truncate(size)


def swap_header(folder: Path, **changes) -> None:
    """Gives the factors' file another .npy header of the same length."""
    path = array_file(folder, "factors")
    body = path.read_bytes()
    header = {"descr": "<f4", "fortran_order": False, "shape": (4, 3)} | changes
    text = repr(header).encode().ljust(117) + b"\n"
    path.write_bytes(body[:10] + text + body[128:])


def make_link(folder: Path) -> None:
    path = array_file(folder, "factors")
    shutil.move(path, folder.parent / "outside.npy")
    path.symlink_to(folder.parent / "outside.npy")


def make_pipe(folder: Path) -> None:
    path = array_file(folder, "factors")
    path.unlink()
    os.mkfifo(path)


def flip_last_byte(folder: Path) -> None:
    path = array_file(folder, "factors")
    body = path.read_bytes()
    path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))


HEX = "0123456789abcdef"
BREAK = {
    "no folder": (lambda m: shutil.rmtree(m), "model: no such folder; check the path"),
    "a file": (lambda m: (shutil.rmtree(m), m.write_text("x")), "expected a model folder; got a file"),
    "no manifest": (lambda m: (m / "manifest.json").unlink(), "manifest.json: missing"),
    "manifest cut": (lambda m: truncate(m / "manifest.json", 100), "manifest.json: expected JSON.*cut short"),
    "manifest empty": (lambda m: truncate(m / "manifest.json", 0), "expected JSON"),
    "manifest binary": (lambda m: (m / "manifest.json").write_bytes(b"\xff\x00"), "expected JSON"),
    "manifest deep": (lambda m: (m / "manifest.json").write_text("[" * 200_000), "expected JSON"),
    "manifest NaN": (lambda m: edit(m, lambda d: d["meta"].update(x=float("nan"))), "NaN is not JSON"),
    "manifest list": (lambda m: (m / "manifest.json").write_text("[]"), '"format": \'ecocore\''),
    "other format": (lambda m: edit(m, lambda d: d.update(format="other")), "this folder is not ecocore's"),
    "newer": (lambda m: edit(m, lambda d: d.update(format_version=2)), "newer ecocore .*format 2.*upgrade"),
    "version text": (lambda m: edit(m, lambda d: d.update(format_version="1")), "whole format_version.*got '1'"),
    "version bool": (lambda m: edit(m, lambda d: d.update(format_version=True)), "got True"),
    "other kind": (lambda m: edit(m, lambda d: d.update(kind="nlu")), "kind 'als'; got 'nlu'"),
    "no meta": (lambda m: edit(m, lambda d: d.pop("meta")), "expected 'kind'"),
    "arrays list": (lambda m: edit(m, lambda d: d.update(arrays=[])), "'arrays'"),
    "array text": (lambda m: edit(m, lambda d: d["arrays"].update(factors="x")), "expected an object; got 'x'"),
    "array name": (lambda m: edit(m, lambda d: d["arrays"].update({"a/b": {}})), "name: .*got 'a/b'"),
    "file missing": (lambda m: array_file(m, "factors").unlink(), "factors-.*the manifest names this file, but"),
    "file cut": (lambda m: truncate(array_file(m, "factors"), 150), "cut short: expected 176 bytes; got 150"),
    "file empty": (lambda m: truncate(array_file(m, "factors"), 0), "cut short"),
    "file long": (lambda m: truncate(array_file(m, "factors"), 200), "too long: expected 176 bytes; got 200"),
    "file altered": (flip_last_byte, "the content was altered: expected sha256 [0-9a-f]{64}; got"),
    "link": (make_link, "got a symbolic link"),
    "pipe": (make_pipe, "expected a plain file"),
    "manifest link": (
        lambda m: (shutil.move(m / "manifest.json", m / "x"), (m / "manifest.json").symlink_to(m / "x")),
        "manifest.json: .*symbolic link",
    ),
    "path up": (lambda m: edit(m, lambda d: first(d, file="../x-0123456789abcdef.npy")), "plain name.*got '../x"),
    "path root": (lambda m: edit(m, lambda d: first(d, file="/etc/passwd")), "got '/etc/passwd'"),
    "path nul": (lambda m: edit(m, lambda d: first(d, file="a\0-0123456789abcdef.npy")), "plain name"),
    "file number": (lambda m: edit(m, lambda d: first(d, file=3)), "got 3"),
    "sha short": (lambda m: edit(m, lambda d: first(d, sha256="ab")), "64 hexadecimal digits"),
    "sha other": (lambda m: edit(m, lambda d: first(d, sha256=HEX * 4)), "begin as the file's name ends"),
    "dtype": (lambda m: edit(m, lambda d: first(d, dtype="<f8")), "expected float64 .*got float32"),
    "dtype object": (lambda m: edit(m, lambda d: first(d, dtype="|O")), "little-endian .*got '|O'"),
    "dtype big": (lambda m: edit(m, lambda d: first(d, dtype=">f4")), "got '>f4'"),
    "dtype struct": (lambda m: edit(m, lambda d: first(d, dtype="f4,f4")), "got 'f4,f4'"),
    "dtype odd": (lambda m: edit(m, lambda d: first(d, dtype="<f3")), "got '<f3'"),
    "dtype list": (lambda m: edit(m, lambda d: first(d, dtype=[])), "got \\[\\]"),
    "shape": (lambda m: edit(m, lambda d: first(d, shape=[3, 4])), "shape \\(3, 4\\).*got float32 of shape \\(4, 3\\)"),
    "shape minus": (lambda m: edit(m, lambda d: first(d, shape=[-4, -3])), "shape: expected"),
    "shape huge": (lambda m: edit(m, lambda d: first(d, shape=[2**62, 0, 2**62])), "can be addressed"),
    "shape float": (lambda m: edit(m, lambda d: first(d, shape=[4.0, 3])), "shape: expected"),
    "shape deep": (lambda m: edit(m, lambda d: first(d, shape=[1] * 40)), "at most 32"),
    "bytes": (lambda m: edit(m, lambda d: first(d, bytes=10**18)), f"cut short: expected {10**18} bytes; got 176"),
    "bytes minus": (lambda m: edit(m, lambda d: first(d, bytes=-1)), "bytes: expected a whole number"),
    "header object": (lambda m: swap_header(m, descr="|O"), "got object"),
    "header shape": (
        lambda m: (swap_header(m, shape=(2**40, 2**20)), edit(m, lambda d: first(d, shape=[2**40, 2**20]))),
        f"expected {2**62} bytes of values .*; got 48",
    ),
    "header order": (lambda m: swap_header(m, fortran_order=True), "in Fortran order"),
    "header cut": (lambda m: swap_header(m, shape="("), "header cannot be read"),
    "not npy": (lambda m: array_file(m, "factors").write_bytes(b"P" * 176), "expected a .npy file"),
}  # fmt: skip


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("case", BREAK)
def test_refuses_broken_folders(model, case, mmap):
    damage, message = BREAK[case]
    damage(model)
    with pytest.raises(FormatError, match=message):
        read_folder(model, "als", mmap=mmap, verify=True)


def test_without_verify_sizes_are_still_checked_and_content_is_not(model):
    flip_last_byte(model)
    assert read_folder(model, "als")[1]["factors"].shape == (4, 3)
    truncate(array_file(model, "factors"), 170)
    with pytest.raises(FormatError, match="cut short"):
        read_folder(model, "als")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), in_manifest=st.booleans(), mmap=st.booleans())
def test_any_flipped_bytes_are_refused_or_harmless(tmp_path, seed, in_manifest, mmap):
    model = tmp_path / "model"
    shutil.rmtree(model, ignore_errors=True)
    write_folder(model, "als", META, ARRAYS)
    rng = random.Random(seed)
    path = model / "manifest.json" if in_manifest else array_file(model, "factors")
    body = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 20])):
        body[rng.randrange(len(body))] = rng.randrange(256)
    path.write_bytes(body)
    try:
        _, arrays = read_folder(model, "als", mmap=mmap, verify=False)
    except FormatError as e:
        message = str(e)
    else:
        message = str(model)
        for array in arrays.values():
            assert array.nbytes <= 1000
            array.copy()  # every element can be touched
    assert str(model) in message


# ---- crashes, full disks, rivals -------------------------------------------------------------------------------

WRITER = """
import sys, numpy as np
from ecocore.storage import write_folder
path, generation, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
while True:
    arrays = {n: np.full((50_000, 4), generation, np.int32) for n in ("a", "b", "c")}
    write_folder(path, "loop", {"generation": generation}, arrays | {"same": np.arange(1000)})
    generation += step
"""


def read_generation(path: Path) -> int:
    """Reads one model and asserts that all of it is of one generation."""
    meta, arrays = read_folder(path, "loop", verify=True)
    for name in "abc":
        assert arrays[name].shape == (50_000, 4)
        assert np.all(arrays[name] == meta["generation"]), "half of one model, half of another"
    assert np.array_equal(arrays["same"], np.arange(1000))
    return meta["generation"]


def start_writer(path: Path, generation: int, step: int = 1) -> subprocess.Popen[str]:
    args = [sys.executable, "-c", WRITER, str(path), str(generation), str(step)]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_kill_during_saves_leaves_a_whole_model(tmp_path):
    path = tmp_path / "model"
    write_folder(
        path, "loop", {"generation": 0}, {n: np.zeros((50_000, 4), np.int32) for n in "abc"} | {"same": np.arange(1000)}
    )
    rng = random.Random(0)
    generation = 0
    kills = 0
    while kills < 12 or generation == 0:  # a busy machine may not finish a single save between two kills
        kills += 1
        with start_writer(path, generation + 1) as process:
            time.sleep(rng.uniform(0.001, 0.08) * (1 + kills / 12))
            process.send_signal(signal.SIGKILL)
        now = read_generation(path)
        assert now >= generation
        generation = now
        assert kills < 200
    write_folder(path, "loop", {}, {})  # the remains of all crashes go with the next save
    assert [p.name for p in path.iterdir()] == ["manifest.json"]


EVERY_CRASH_POINT = """
import os, sys, numpy as np
from pathlib import Path
from ecocore import storage
from ecocore.storage import read_folder, write_folder
path = Path(sys.argv[1])
new = {"a": np.full(1000, 2), "b": np.full(1000, 2)}
results = []
for point in range(10_000):
    write_folder(path, "x", {"v": 1}, {"a": np.full(1000, 1), "gone": np.full(10, 1)})
    child = os.fork()
    if child == 0:
        count = 0
        def dying(call):
            def wrapped(*args, **kwargs):
                global count
                if count == point:
                    os._exit(9)
                count += 1
                return call(*args, **kwargs)
            return wrapped
        for name in ("write", "fsync", "rename", "unlink", "open"):
            setattr(os, name, dying(getattr(os, name)))
        write_folder(path, "x", {"v": 2}, new)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    meta, arrays = read_folder(path, "x", verify=True)
    assert all(np.all(a == meta["v"]) for a in arrays.values()), (point, meta)
    assert set(arrays) == ({"a", "gone"} if meta["v"] == 1 else {"a", "b"}), (point, meta)
    results.append(meta["v"])
    if status == 0:
        break
assert results == sorted(results) and results[0] == 1 and results[-1] == 2, results
print(len(results), results.count(2))
"""


def test_every_crash_point_leaves_a_whole_model(tmp_path):
    args = [sys.executable, "-c", EVERY_CRASH_POINT, str(tmp_path / "m")]
    out = subprocess.run(args, capture_output=True, text=True, timeout=120, check=False)
    assert out.returncode == 0, out.stderr
    points, after_commit = map(int, out.stdout.split())
    assert points > 20
    assert after_commit > 1


def test_readers_always_see_one_whole_model_while_two_writers_replace_it(tmp_path):
    path = tmp_path / "model"
    write_folder(
        path, "loop", {"generation": 0}, {n: np.zeros((50_000, 4), np.int32) for n in "abc"} | {"same": np.arange(1000)}
    )
    seen: set[int] = set()
    errors: list[BaseException] = []
    with start_writer(path, 1, 2) as odd, start_writer(path, 2, 2) as even:
        end = time.monotonic() + 2.0

        def read() -> None:
            try:
                while time.monotonic() < end:
                    seen.add(read_generation(path))
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for process in (odd, even):
            assert process.poll() is None, "a writer died"
            process.kill()
    if errors:
        raise errors[0]
    assert len(seen) > 3


DISK_FULL = """
import resource, sys, numpy as np
from ecocore.storage import write_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    write_folder(sys.argv[1], "als", {}, {"small": np.ones(10), "large": np.ones(100_000)})
except OSError as e:
    print(e)
else:
    print("saved")
"""


def test_a_full_disk_leaves_the_old_model_and_says_so(model):
    before = sorted(model.iterdir())
    args = [sys.executable, "-c", DISK_FULL, str(model)]
    out = subprocess.run(args, capture_output=True, text=True, timeout=60, check=True)
    assert "could not save the model (File too large); a model that was there before is whole" in out.stdout
    assert str(model) in out.stdout
    assert sorted(model.iterdir()) == before
    assert_same(read_folder(model, "als", verify=True)[1], ARRAYS)


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "open"])
def test_any_failing_call_leaves_a_whole_model(model, monkeypatch, call):
    """Fails the n-th call with 'no space left' for every n until the save goes through."""
    real = getattr(os, call)
    for point in range(100):
        calls = iter(range(10_000))

        def failing(*args, point=point, calls=calls, **kwargs):
            if next(calls) == point:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                write_folder(model, "als", {"v": 2}, {"b": np.ones(4)})
            except OSError as e:
                failed = e.errno == errno.ENOSPC
            else:
                failed = False
        meta, arrays = read_folder(model, "als", verify=True)
        if meta == META:
            assert failed
            assert_same(arrays, ARRAYS)
            assert len(list(model.iterdir())) == len(ARRAYS) + 1
        else:
            assert meta == {"v": 2}
            assert_same(arrays, {"b": np.ones(4)})
        if not failed:
            break
    assert point > 0
    assert meta == {"v": 2}


def test_no_descriptor_is_left_open(model):
    def open_files():
        return len(os.listdir("/proc/self/fd"))

    before = open_files()
    for _ in range(20):
        write_folder(model, "als", META, ARRAYS)
        read_folder(model, "als", mmap=False)
    assert open_files() == before
