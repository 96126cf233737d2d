"""What ecocore runs on: instruction set, threads, build.

Environment variables, read once and checked:

- ``ECOCORE_FORCE_ISA``: ``scalar``, ``avx2`` or ``avx512`` instead of the best this machine has; an absent one raises.
- ``ECOCORE_NUM_THREADS``: threads per call when none are named; else ``OMP_NUM_THREADS``, else the CPUs that this
  process may use.
"""

from __future__ import annotations

from . import _core

__all__ = ["build_info", "get_num_threads", "set_num_threads"]


def build_info() -> dict[str, object]:
    """Version, compiler, the instruction sets that can run here, the one in use, and the number of threads."""
    return {
        "version": _core.__version__,
        "compiler": _core.compiler,
        "isa": _core.active_isa(),
        "available_isas": _core.available_isas(),
        "num_threads": _core.num_threads(),
    }


def get_num_threads() -> int:
    """Threads that a call uses when its ``num_threads`` is 0."""
    return _core.num_threads()


def set_num_threads(n: int) -> None:
    """Sets the default number of threads for this process; 0 returns to the environment's or the machine's."""
    _core.set_num_threads(n)
