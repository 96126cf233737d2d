"""The native cells agree with the formulas, and a row's bits depend on that row alone."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import InvalidArgument, _core
from reference_recurrent import GATES, cell_step, encode, model_arrays

SHAPES = [(1, 1), (3, 5), (16, 16), (17, 33), (40, 128)]  # dim, hidden: below, at and above a vector


def net_of(meta, a, table_bytes=1 << 30, threads=1):
    tables = [(a[t], None, 0) for t in ("input_vectors", "event_type_vectors", "gap_vectors") if t in a]
    layers = [(a[f"layer{i}_W"], a[f"layer{i}_R"], a[f"layer{i}_B"]) for i in range(meta["layers"])]
    project = (a["project_W"], a["project_b"]) if meta["projection"] else (None, None)
    return _core.RecurrentNet(meta["cell"], layers, tables, *project, table_bytes, threads)


def random_events(meta, lengths, seed=0):
    random = np.random.default_rng(seed)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    sizes = [s for s in (meta["items"], meta["event_types"], meta["gaps"]) if s]
    return indptr, [random.integers(0, s, indptr[-1]).astype(np.int32) for s in sizes]


def advance(net, indptr, ids, h=None, c=None, lstm=True, threads=1):
    shape = (indptr.size - 1, net.layers, net.hidden)
    h = np.zeros(shape, np.float32) if h is None else h.copy()
    c = (np.zeros(shape, np.float32) if c is None else c.copy()) if lstm else None
    net.advance(indptr, ids, h, c, threads)
    return h, c


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize(("dim", "hidden"), SHAPES)
def test_agrees_with_the_formulas(isa, cell, dim, hidden):
    meta, arrays = model_arrays(cell, dim=dim, hidden=hidden, layers=2, types=3, gaps=5, query=7)
    lengths = [0, 1, 5, 12, 3, 7, 7, 1, 2]
    indptr, ids = random_events(meta, lengths)
    net = net_of(meta, arrays)
    h, c = advance(net, indptr, ids, lstm=cell == "lstm")
    query = net.query(h, 1)
    for row in range(len(lengths)):
        events = list(zip(*(a[indptr[row] : indptr[row + 1]] for a in ids), strict=True))
        want = encode(meta, arrays, events)
        np.testing.assert_allclose(h[row], want.h, atol=2e-5)
        if cell == "lstm":
            np.testing.assert_allclose(c[row], want.c, atol=2e-5)
        np.testing.assert_allclose(
            query[row], arrays["project_W"].astype(float) @ want.h[-1] + arrays["project_b"], atol=1e-4
        )


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize(("dim", "hidden"), SHAPES)
def test_same_bits_alone_batched_cut_and_on_any_threads(isa, cell, dim, hidden):
    meta, arrays = model_arrays(cell, dim=dim, hidden=hidden, layers=2, gaps=4)
    random = np.random.default_rng(1)
    lengths = random.integers(0, 25, 200)
    indptr, ids = random_events(meta, lengths)
    lstm = cell == "lstm"
    net = net_of(meta, arrays)
    h, c = advance(net, indptr, ids, lstm=lstm)
    states = (h,) if c is None else (h, c)

    def same(other):
        for a, b in zip(states, other, strict=False):
            np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))

    same(advance(net, indptr, ids, lstm=lstm, threads=3))
    same(advance(net_of(meta, arrays, table_bytes=0), indptr, ids, lstm=lstm))  # the table multiplied on the fly
    cuts = (random.random(200) * (lengths + 1)).astype(np.int64)
    parts = []
    for first in (True, False):
        spans = [(a, a + k) if first else (a + k, b) for a, b, k in zip(indptr[:-1], indptr[1:], cuts, strict=True)]
        at = np.concatenate([np.arange(a, b) for a, b in spans])
        parts.append((np.concatenate([[0], np.cumsum([b - a for a, b in spans])]), [x[at] for x in ids]))
    half = advance(net, *parts[0], lstm=lstm)
    same(advance(net, *parts[1], *half, lstm=lstm))
    for row in range(0, 200, 17):
        span = slice(indptr[row], indptr[row + 1])
        alone = advance(net, np.array([0, lengths[row]]), [np.ascontiguousarray(x[span]) for x in ids], lstm=lstm)
        for a, b in zip(states, alone, strict=False):
            np.testing.assert_array_equal(a[row], b[0] if b is not None else a[row])


@pytest.mark.parametrize("cell", GATES)
def test_avx2_and_avx512_give_the_same_bits(cell):
    wide = [isa for isa in _core.available_isas() if isa != "scalar"]
    if len(wide) < 2:
        pytest.skip(f"needs AVX2 and AVX-512; this machine has {wide}")
    meta, arrays = model_arrays(cell, dim=20, hidden=40)
    indptr, ids = random_events(meta, [9] * 50)
    before, out = _core.active_isa(), []
    for isa in wide:
        _core.force_isa(isa)
        out.append(advance(net_of(meta, arrays), indptr, ids, lstm=cell == "lstm")[0])
    _core.force_isa(before)
    np.testing.assert_array_equal(*out)


def test_saturated_gates_stay_finite(isa):
    """Weights far beyond what training gives: sigmoid and tanh at their ends, not NaN."""
    meta, arrays = model_arrays("lstm", hidden=16)
    for name in list(arrays):
        if arrays[name].dtype == np.float32:
            arrays[name] = arrays[name] * np.float32(500)
    indptr, ids = random_events(meta, [50] * 20)
    h, c = advance(net_of(meta, arrays), indptr, ids)
    assert np.isfinite(h).all()
    assert np.isfinite(c).all()
    assert np.abs(h).max() <= 1
    want = encode(meta, arrays, [(i,) for i in ids[0][:50]])
    np.testing.assert_allclose(h[0], want.h, atol=1e-4)


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_weights_whose_product_overflows_are_refused(isa, kind):
    _, arrays = model_arrays("lstm", hidden=16)
    table = {"float32": (arrays["input_vectors"], None), "float16": (arrays["input_vectors"].astype(np.float16), None)}
    rows = len(arrays["input_vectors"])
    table["int8"] = (np.full(arrays["input_vectors"].shape, 127, np.int8), np.ones(rows, np.float32))
    layers = [(arrays["layer0_W"] * np.float32(3e38), arrays["layer0_R"], arrays["layer0_B"])]
    assert np.isfinite(layers[0][0]).all()
    with pytest.raises(InvalidArgument, match="W times embedding: expected finite weights"):
        _core.RecurrentNet("lstm", layers, [(*table[kind], 0)], None, None, 1 << 30, 1)


def test_no_event_no_change():
    meta, arrays = model_arrays("lstm")
    net = net_of(meta, arrays)
    h = np.random.default_rng(0).standard_normal((3, 1, 16)).astype(np.float32)
    indptr, ids = np.array([0, 0, 2, 2]), [np.array([1, 2], np.int32)]
    after, cell = advance(net, indptr, ids, h, h * 2)
    for row in (0, 2):
        np.testing.assert_array_equal(after[row], h[row])
        np.testing.assert_array_equal(cell[row], 2 * h[row])
    assert not np.array_equal(after[1], h[1])


def test_refuses_bad_input_before_it_writes():
    meta, arrays = model_arrays("lstm")
    net = net_of(meta, arrays)
    h = np.ones((1, 1, 16), np.float32)
    for bad in (-1, 41):
        with pytest.raises(InvalidArgument, match=f"ids from 0 to 40 in input 0; got {bad} at position 1"):
            net.advance(np.array([0, 3]), [np.array([1, bad, 2], np.int32)], h, h.copy())
    assert (h == 1).all()
    with pytest.raises(InvalidArgument, match="never fall"):
        net.advance(np.array([0, 2, 1]), [np.array([1], np.int32)], np.ones((2, 1, 16), np.float32), None)
    with pytest.raises(InvalidArgument, match="h: expected 3 dimension"):
        net.advance(np.array([0, 1]), [np.array([1], np.int32)], h[0], h)
    arrays["layer0_R"][3, 3] = np.nan
    with pytest.raises(InvalidArgument, match="finite weights"):
        net_of(meta, arrays)


def test_reference_matches_onnx():
    """The formulas themselves, against ONNX's own reference evaluator."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
    from onnx.reference import ReferenceEvaluator

    for cell in ("lstm", "gru"):
        _, arrays = model_arrays(cell, hidden=6, dim=4)
        node = onnx.helper.make_node(cell.upper(), ["x", "w", "r", "b"], ["y", "h"], hidden_size=6,
                                     **({"linear_before_reset": 1} if cell == "gru" else {}))  # fmt: skip
        w, r, b = (arrays[f"layer0_{p}"] for p in "WRB")
        x = arrays["input_vectors"][[3, 7, 1]]
        h = c = np.zeros(6)
        for event in x:
            h, c = cell_step(cell, w.astype(float), r.astype(float), b.astype(float), event, h, c)
        feeds = {"x": x[:, None], "w": w[None], "r": r[None], "b": b[None]}
        np.testing.assert_allclose(ReferenceEvaluator(node).run(None, feeds)[1].reshape(-1), h, atol=1e-5)
