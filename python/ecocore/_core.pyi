"""The native core. Arrays are exact: this dtype, C order, no conversion."""

import numpy as np
import numpy.typing as npt

_F32 = npt.NDArray[np.float32]
_F64 = npt.NDArray[np.float64]
_U8 = npt.NDArray[np.uint8]
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

# ---- evaluate ----
def ranking_metrics(
    ids: _I64,
    indptr: _I64,
    indices: _I32,
    exclude_indptr: _I64 | None,
    exclude_indices: _I32 | None,
    cols: int,
    k: int,
    truncated: bool,
    num_threads: int = 0,
) -> tuple[_F64, _U8]: ...
def score_candidates(
    user_factors: _F32, item_factors: _F32, users: _I64, items: _I64, num_threads: int = 0
) -> _F64: ...
def candidate_ranks(items: _I64, scores: _F64, ties_favour_test: bool, num_threads: int = 0) -> _I64: ...
def recommend_popular(
    order: _I64, score: _F32, indptr: _I64, indices: _I32, data: _F32 | None, repeat: bool, k: int, num_threads: int = 0
) -> tuple[_I64, _F32]: ...

# ---- als ----
def als_gram(factors: _F32, exact: bool = True, num_threads: int = 0) -> npt.NDArray[np.float64]: ...
def als_half_sweep(
    indptr: _I64,
    indices: _I32,
    data: _F32 | None,
    fixed: _F32,
    gram: npt.NDArray[np.float64],
    regularization: _F32,
    prior: _F32 | None,
    start: _F32,
    solved: _F32,
    *,
    alpha: float,
    weight_offset: float,
    gram_weight: float,
    solver: str = "auto",
    cg_steps: int = 3,
    num_threads: int = 0,
) -> None: ...
def als_data_loss(
    indptr: _I64,
    indices: _I32,
    data: _F32 | None,
    user_factors: _F32,
    item_factors: _F32,
    user_gram: npt.NDArray[np.float64],
    item_gram: npt.NDArray[np.float64],
    *,
    alpha: float,
    weight_offset: float,
    gram_weight: float,
    num_threads: int = 0,
) -> float: ...
def als_penalty(factors: _F32, regularization: _F32, prior: _F32 | None, num_threads: int = 0) -> float: ...
