"""The native core. Arrays are exact: this dtype, C order, no conversion."""

from collections.abc import Callable, Sequence
from typing import Any

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
    outside_gram: _Bool | None = None,
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

# ---- recurrent networks ----
class RecurrentNet:
    def __init__(
        self,
        cell: str,
        layers: Sequence[tuple[_F32, _F32, _F32 | None]],
        tables: Sequence[tuple[npt.NDArray[Any], _F32 | None, int]],
        query: _F32 | None,
        query_bias: _F32 | None,
        table_bytes: int,
        num_threads: int,
    ) -> None: ...
    @property
    def layers(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    @property
    def query_size(self) -> int: ...
    @property
    def query_is_state(self) -> bool: ...
    @property
    def projected(self) -> bool: ...
    @property
    def table_memory(self) -> int: ...
    def advance(self, indptr: _I64, ids: Sequence[_I32], h: _F32, c: _F32 | None, num_threads: int = 0) -> None: ...
    def query(self, h: _F32, num_threads: int = 0) -> _F32: ...

# ---- session states ----
class SessionStates:
    def __init__(
        self,
        advance: RecurrentNet | Callable[[_I64, list[_I32], _F32, _F32 | None], tuple[_F32, _F32 | None, _F32]],
        *,
        state: int,
        has_cell: bool,
        query: int,
        has_types: bool,
        has_gaps: bool,
        gap_edges: Sequence[float],
        capacity: int,
        ttl: float,
        history: int,
        max_batch: int,
        max_delay: float,
    ) -> None: ...
    def append(self, user: int | str, item: int, type: int, time: float, now: float) -> None: ...
    def append_many(
        self, users: _I64 | list[int | str], items: _I32, types: _I32 | None, times: _F64 | None, now: float
    ) -> None: ...
    def read(self, user: int | str, now: float) -> tuple[_F32, _F32 | None, _F32, int, float] | None: ...
    def forget(self, users: _I64 | list[int | str]) -> int: ...
    def dump(self, now: float) -> dict[str, Any]: ...
    def replace(
        self,
        *,
        users: _I64 | list[int | str],
        h: _F32,
        c: _F32,
        query: _F32,
        last_time: _F64,
        last_used: _F64,
        count: _I64,
        indptr: _I64,
        items: _I32,
        types: _I32,
        times: _F64,
    ) -> None: ...
    def counters(self) -> dict[str, int]: ...

# ---- text ----
def murmur3_32(data: bytes, seed: int = 0) -> int: ...
def decode_utf8(data: bytes) -> str: ...

class PreparedText:
    def __init__(self, text: str) -> None: ...
    @property
    def normalized(self) -> str: ...
    @property
    def tokens(self) -> list[tuple[int, int]]: ...
    def source_span(self, begin: int, end: int) -> tuple[int, int]: ...

class PhraseMatcher:
    def __init__(self, phrases: list[str]) -> None: ...
    def __len__(self) -> int: ...
    def find(self, text: PreparedText) -> list[tuple[int, int, int]]: ...

# ---- language model ----
_U32 = npt.NDArray[np.uint32]

def build_vocabulary(
    texts: list[str], min_texts: int, meanings: list[str], num_threads: int = 0
) -> tuple[_U32, _I32, int]: ...
def ngrams(text: PreparedText, meanings: bool) -> list[tuple[str, int, int]]: ...
def token_features(text: PreparedText, rules: list[tuple[int, int, int]]) -> _U32: ...
def decode_bio(emissions: _F32) -> list[list[tuple[int, int, int, float]]]: ...
def scope_signals(logits: _F32, unseen: _F32) -> _F64: ...

class Featurizer:
    def __init__(self, keys: _U32, idf: _F32, meaning_gain: float) -> None: ...
    def __len__(self) -> int: ...
    def featurize(self, texts: list[str], num_threads: int = 0) -> tuple[_I64, _I32, _F32, _F32]: ...

class IntentTraining:
    hidden: int
    epochs: int
    batch: int
    table_rate: float
    dense_rate: float
    ngram_dropout: float
    hidden_dropout: float
    smoothing: float
    seed: int
    def __init__(self) -> None: ...

def train_intents(
    indptr: _I64,
    indices: _I32,
    data: _F32,
    rows: int,
    label_indptr: _I64,
    labels: _I32,
    intents: int,
    dense: _F32 | None,
    options: IntentTraining,
    members: int = 1,
    num_threads: int = 0,
) -> list[tuple[_F32, _F32, _F32, _F32, _F32]]: ...

class IntentDecision:
    def __init__(
        self,
        temperature: float,
        scope: Sequence[float],
        scope_threshold: float,
        sure_threshold: float,
        choice_share: float,
        several: bool,
    ) -> None: ...

_Verdict = tuple[int, float, float, tuple[tuple[int, float], ...], int]

class IntentModel:
    def __init__(
        self,
        keys: _U32,
        idf: _F32,
        meaning_gain: float,
        codes: npt.NDArray[np.int8],
        scales: _F32,
        projection: _F32,
        bias: _F32,
        output: _F32,
        output_bias: _F32,
    ) -> None: ...
    @property
    def intents(self) -> int: ...
    @property
    def hidden(self) -> int: ...
    def score(self, text: PreparedText) -> tuple[_F32, _F32]: ...
    def score_many(self, texts: list[str], num_threads: int = 0) -> tuple[_F32, _F32]: ...
    def judge(self, decision: IntentDecision, text: PreparedText) -> _Verdict: ...
    def judge_many(self, decision: IntentDecision, texts: list[str], num_threads: int = 0) -> list[_Verdict]: ...
    def encode(self, text: PreparedText) -> _F32: ...
    def explain(self, text: PreparedText, intent: int) -> list[tuple[str, int, int, float]]: ...

class TokenTable:
    def __init__(self, keys: _U32, codes: npt.NDArray[np.int8], scales: _F32) -> None: ...
    def vectors(self, texts: Sequence[PreparedText], rules: list[list[tuple[int, int, int]]]) -> _F32: ...

class TaggerNet:
    def __init__(self, input: _F32, recurrent: _F32, bias: _F32, output: _F32, output_bias: _F32) -> None: ...
    @property
    def width(self) -> int: ...
    @property
    def tags(self) -> int: ...
    def emissions(self, vectors: _F32, num_threads: int = 0) -> _F32: ...
