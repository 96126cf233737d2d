"""The native core. Arrays are exact: this dtype, C order, no conversion."""

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_I32 = npt.NDArray[np.int32]
_I64 = npt.NDArray[np.int64]
_Bool = npt.NDArray[np.bool_]

# ---- runtime ----
__version__: str
compiler: str

def available_isas() -> list[str]: ...
def active_isa() -> str: ...
def force_isa(name: str) -> None: ...
def num_threads(requested: int = 0) -> int: ...
def set_num_threads(n: int) -> None: ...

# ---- csr ----
def check_csr(indptr: _I64, indices: _I32, data: _F32 | None, cols: int, name: str, num_threads: int = 0) -> bool: ...
def sort_csr_rows(
    indptr: _I64, indices: _I32, data: _F32 | None, cols: int, num_threads: int = 0
) -> tuple[_I64, _I32, _F32 | None]: ...
def transpose_csr(
    indptr: _I64, indices: _I32, data: _F32 | None, cols: int, num_threads: int = 0
) -> tuple[_I64, _I32, _F32 | None]: ...

# ---- topk ----
class TopKIndex:
    def __init__(self, factors: _F32, bias: _F32 | None, num_threads: int) -> None: ...
    def search(
        self,
        queries: _F32,
        k: int,
        *,
        allow: _I32 | _Bool | None,
        deny: _I32 | _Bool | None,
        candidates: tuple[_I64, _I32] | None,
        exclude: tuple[_I64, _I32] | None,
        num_threads: int,
    ) -> tuple[_I64, _F32]: ...
