"""The instruction set is the best one there is, or the one that was asked for; a wrong wish is refused, never bent."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecocore import DeviceUnavailable, InvalidArgument, _core

ALL = ["scalar", "avx2", "avx512"]
NEEDS = {  # by the kernel's names of CPU flags
    "scalar": set(),
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx512_vnni"},
}


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "ECOCORE_FORCE_ISA"} | environment
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has more than the scalar kernels")
def test_available_is_what_the_kernel_reports():
    line = next(x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("flags"))
    flags = set(line.split(":")[1].split())
    assert _core.available_isas() == [name for name in ALL if NEEDS[name] <= flags]


def test_the_best_is_taken_unless_told_otherwise():
    code = "from ecocore import build_info as b; print(b()['isa'], b()['available_isas'][-1])"
    for environment in ({}, {"ECOCORE_FORCE_ISA": ""}, {"ECOCORE_FORCE_ISA": "auto"}):
        taken, best = run(code, **environment).stdout.split()
        assert taken == best == _core.available_isas()[-1]


@pytest.mark.parametrize("name", ALL)
def test_forced_by_the_environment(name):
    out = run("import ecocore; print(ecocore.build_info()['isa'])", ECOCORE_FORCE_ISA=name)
    if name in _core.available_isas():
        assert out.stdout.strip() == name, out.stderr
    else:
        assert out.returncode == 1
        assert (
            f"DeviceUnavailable: ECOCORE_FORCE_ISA asks for instruction set '{name}', which this machine lacks"
            in out.stderr
        )
        assert f"available: {', '.join(_core.available_isas())}; or use 'auto'" in out.stderr


@pytest.mark.parametrize("name", ["sse2", "AVX2", "avx2 ", "avx512f", "best"])
def test_unknown_names_raise(name):
    out = run("import ecocore; print('imported'); ecocore.build_info()", ECOCORE_FORCE_ISA=name)
    assert out.stdout == "imported\n", "a wrong variable is told when it matters, and does not break the import"
    assert out.returncode == 1
    assert (
        f"InvalidArgument: ECOCORE_FORCE_ISA: expected 'auto', 'scalar', 'avx2' or 'avx512'; got '{name}'" in out.stderr
    )


def test_forced_at_run_time(isa):
    assert _core.active_isa() == isa
    with pytest.raises(InvalidArgument, match=r"isa: expected .* got 'mmx'"):
        _core.force_isa("mmx")
    for name in set(ALL) - set(_core.available_isas()):
        with pytest.raises(DeviceUnavailable, match=f"instruction set '{name}'"):
            _core.force_isa(name)
    assert _core.active_isa() == isa, "a refused wish changes nothing"


def test_what_does_not_use_the_kernels_is_the_same_on_every_isa(isa):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(9, 31)).astype(np.float32), rng.normal(size=(9, 31)).astype(np.float32)
    scores = _core.score_candidates(users, items, np.arange(9), np.arange(9).reshape(9, 1))
    sums = np.zeros(9)
    for f in range(31):
        sums += users[:, f].astype(np.float64) * items[:, f].astype(np.float64)
    assert np.array_equal(scores[:, 0], sums.astype(np.float32))
