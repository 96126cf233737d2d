"""Exact top-k beside faiss's flat index and implicit's top-k: the same data, one run, the answer checked.

    pytest bench/bench_topk.py

Groups: one query on one thread; 64 queries, each with a list of items to leave out, on one thread; 4,096 queries on
two. Data: ``gaussian`` factors, of which no bound can rule out many (the worst case), and ``als`` factors with the
decaying spectrum and lognormal norms of trained models. ``extra_info`` holds the recall against float64 scores.

The peers are only as fast as the OpenBLAS in their wheels. Where that does not know the CPU (``extra_info["blas"]``
names the kernels it chose), OPENBLAS_CORETYPE=SkylakeX (AVX-512) or Haswell (AVX2) gives them their best. For AVX2
against AVX2 set ECOCORE_FORCE_ISA=avx2, OPENBLAS_CORETYPE=Haswell and FAISS_SIMD_LEVEL=AVX2.
"""

from __future__ import annotations

import functools
import itertools
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits

from ecocore import TopKIndex, build_info

N_ITEMS, DIMENSIONS = 100_000, 128


def vectors(data: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, DIMENSIONS), np.float32)
    if data == "als":
        x /= np.sqrt(1 + np.arange(DIMENSIONS, dtype=np.float32))
        x *= rng.lognormal(0, 0.8, (n, 1)).astype(np.float32)
    return x


@functools.cache
def items(data: str) -> np.ndarray:
    return vectors(data, N_ITEMS, seed=0)


@functools.cache
def purchases(rows: int) -> sp.csr_matrix:
    """About 100 items per user, popular ones more often."""
    rng = np.random.default_rng(2)
    cols = (N_ITEMS * rng.random(rows * 100) ** 2).astype(np.int64)
    m = sp.csr_matrix((np.ones(cols.size, np.float32), (np.repeat(np.arange(rows), 100), cols)), (rows, N_ITEMS))
    m.sum_duplicates()
    return m


def ecocore_search(data, threads):
    index = TopKIndex(items(data))
    return lambda queries, k, exclude: index.search(queries, k, exclude=exclude, num_threads=threads)


def faiss_search(data, threads):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatIP(DIMENSIONS)
    index.add(items(data))
    faiss.omp_set_num_threads(threads)

    def search(queries, k, exclude):
        if exclude is None:
            return index.search(queries, k)[::-1]
        # No lists per query: ask for as many more as the longest list has, and drop what is on it.
        scores, ids = index.search(queries, k + int(np.diff(exclude.indptr).max()))
        seen = np.zeros((len(queries), N_ITEMS), bool)
        seen[np.repeat(np.arange(len(queries)), np.diff(exclude.indptr)), exclude.indices] = True
        order = np.argsort(np.take_along_axis(seen, ids, 1), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)

    return search


def implicit_search(data, threads):
    topk = pytest.importorskip("implicit.cpu.topk").topk
    return lambda queries, k, exclude: topk(
        items(data), queries, k, filter_query_items=exclude, num_threads=threads
    )  # fmt: skip


SYSTEMS = {"ecocore": ecocore_search, "faiss": faiss_search, "implicit": implicit_search}


def check(found, queries, k, exclude, data, rows):
    """Equal ids wherever no other score is so near that float32 sums may swap the two; returns the recall."""
    ids, _ = found
    recall = []
    for row in rows:
        scores = items(data) @ queries[row].astype(np.float64)
        if exclude is not None:
            scores[exclude[row].indices] = -np.inf
        want = np.argsort(-scores, kind="stable")[: k + 1]
        gaps = np.abs(np.diff(scores[want]))
        near = 1e-5 * np.abs(scores[want]).max()
        clear = np.append(True, gaps[:-1] > near) & (gaps > near)
        assert (ids[row][clear] == want[:k][clear]).all()
        recall.append(np.isin(want[:k], ids[row]).mean())
    return float(np.mean(recall))


def run(benchmark, system, data, n_queries, k, threads, rounds, exclude=None):
    """Every round has queries of its own, so that no system finds its answer in cache."""
    benchmark.group = f"{n_queries} queries, k={k}, {data}, {threads} thread(s)" + (
        ", exclusions" if exclude is not None else ""
    )
    pool = vectors(data, n_queries if n_queries > 64 else 64 * n_queries, seed=1).reshape(-1, n_queries, DIMENSIONS)
    batches = itertools.cycle(pool)
    # implicit's documented advice: BLAS on one thread, its own threads over batches of queries.
    with threadpool_limits(1, "blas") if system == "implicit" else threadpool_limits(threads):
        search = SYSTEMS[system](data, threads)
        benchmark.pedantic(search, setup=lambda: ((next(batches), k, exclude), {}), rounds=rounds, warmup_rounds=1)
        queries = pool[0]
        found = search(queries, k, exclude)
        blas = sorted(
            {f"{i['internal_api']} {i.get('architecture')}" for i in threadpool_info() if i["user_api"] == "blas"}
        )
    rows = np.linspace(0, n_queries - 1, min(n_queries, 8)).astype(int)
    recall = check(found, queries, k, exclude, data, rows)
    assert recall == 1.0 if system == "ecocore" else recall > 0.99
    benchmark.extra_info.update(recall=recall, isa=build_info()["isa"], blas=blas)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("data", ["gaussian", "als"])
def test_one_query(benchmark, system, data, k):
    run(benchmark, system, data, 1, k, threads=1, rounds=51)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("data", ["gaussian", "als"])
def test_service_batch_with_exclusions(benchmark, system, data):
    run(benchmark, system, data, 64, 100, threads=1, rounds=7, exclude=purchases(64))


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("data", ["gaussian", "als"])
def test_all_users(benchmark, system, data, k):
    run(benchmark, system, data, 4096, k, threads=2, rounds=3)
