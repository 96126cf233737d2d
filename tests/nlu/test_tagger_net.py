"""The tagger's network against its formulas, ONNX Runtime and PyTorch; what a model whose parts do not fit says."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import NLU, FormatError, InvalidArgument, _core, starter
from ecocore.nlu_slots import NET_ARRAYS, Tagger
from ecocore.storage import read_folder
from reference_recurrent import cell_step


def weights(width=11, hidden=9, slots=3, seed=0):
    """NET_ARRAYS with random values."""
    random = np.random.default_rng(seed)
    shapes = [(2, 4 * hidden, width), (2, 4 * hidden, hidden), (2, 4 * hidden), (1 + 2 * slots, 2 * hidden)]
    shapes.append((1 + 2 * slots,))
    drawn = [(random.standard_normal(s) / s[-1] ** 0.5).astype(np.float32) for s in shapes]
    return dict(zip(NET_ARRAYS, drawn, strict=True))


def vectors_of(texts, tokens, width, seed=1):
    return np.random.default_rng(seed).standard_normal((texts, tokens, width)).astype(np.float32)


def reference(arrays, vectors):
    """[tokens, tags] of one text's [tokens, width], in float64."""
    w, r, b, output, output_bias = (arrays[n].astype(np.float64) for n in NET_ARRAYS)
    x = np.tanh(vectors.astype(np.float64))
    hidden = r.shape[2]
    states = np.zeros((len(x), 2, hidden))
    for d, order in ((0, range(len(x))), (1, reversed(range(len(x))))):
        h = c = np.zeros(hidden)
        for t in order:
            h, c = cell_step("lstm", w[d], r[d], np.concatenate([b[d], np.zeros_like(b[d])]), x[t], h, c)
            states[t, d] = h
    z = states.reshape(len(x), -1) @ output.T + output_bias
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def net(arrays):
    return _core.TaggerNet(*(arrays[n] for n in NET_ARRAYS))


@pytest.mark.parametrize("hidden", [1, 9, 40])
def test_emissions_are_the_formulas_and_the_same_alone_and_together(isa, hidden):
    arrays = weights(hidden=hidden)
    model = net(arrays)
    for tokens in (1, 2, 7, 30):
        vectors = vectors_of(17, tokens, 11)
        together = model.emissions(vectors)
        assert together.tobytes() == model.emissions(vectors, 1).tobytes()
        for one, own in zip(vectors, together, strict=True):
            assert model.emissions(one[None]).tobytes() == own.tobytes()
            np.testing.assert_allclose(own, reference(arrays, one), atol=1e-5)


def test_avx2_and_avx512_give_the_same_bits():
    if "avx512" not in _core.available_isas():
        pytest.skip("this CPU has no AVX-512")
    before = _core.active_isa()
    found = []
    try:
        for name in ("avx2", "avx512"):
            _core.force_isa(name)
            found += [net(weights(hidden=h)).emissions(vectors_of(19, 13, 11)).tobytes() for h in (9, 16, 40)]
    finally:
        _core.force_isa(before)
    assert found[:3] == found[3:]


def test_the_exported_graph_gives_the_same_emissions(isa, tmp_path):
    pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
    pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (extra 'cpu' or 'gpu')")
    model = NLU.load(starter.MODEL)
    model.export_slots_onnx(tmp_path / "slots.onnx")
    session = runtime.InferenceSession(tmp_path / "slots.onnx", providers=["CPUExecutionProvider"])
    native = model._tagger
    width = native._net.width
    for texts, tokens in ((1, 1), (5, 10), (2, 40)):
        vectors = vectors_of(texts, tokens, width)
        (theirs,) = session.run(None, {"vectors": vectors})
        np.testing.assert_allclose(native._emissions(vectors), theirs, atol=1e-5)
    tags = session.get_modelmeta().custom_metadata_map["tags"]
    assert tags.startswith('["O", "B-address", "I-address"')


def test_what_pytorch_trained_is_what_runs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from ecocore.train.nlu_slots import _net

    torch.manual_seed(0)
    lstm = torch.nn.LSTM(11, 9, bidirectional=True, batch_first=True)
    out = torch.nn.Linear(18, 7)
    state = {f"lstm.{k}": v for k, v in lstm.state_dict().items()} | {
        f"out.{k}": v for k, v in out.state_dict().items()
    }
    arrays = dict(zip(NET_ARRAYS, _net({k: v.numpy() for k, v in state.items()}), strict=True))
    vectors = vectors_of(4, 12, 11)
    with torch.no_grad():
        theirs = out(lstm(torch.from_numpy(vectors).tanh())[0]).log_softmax(-1).numpy()
    np.testing.assert_allclose(net(arrays).emissions(vectors), theirs, atol=1e-5)


def test_shapes_that_do_not_fit_are_refused():
    good = weights()
    for name, bad, message in [
        ("tagger_input", good["tagger_input"][0], "input: expected 3 dimension"),
        ("tagger_input", good["tagger_input"][:1], "two directions"),
        ("tagger_input", good["tagger_input"][:, :32].copy(), "input: expected 36 rows"),
        ("tagger_recurrent", good["tagger_recurrent"][:, :, :8].copy(), "input: expected 32 rows"),
        ("tagger_bias", good["tagger_bias"][:, :35].copy(), "bias: expected 36 columns"),
        ("tagger_output", good["tagger_output"][:, :9].copy(), "output: expected 18 columns"),
        ("tagger_output_bias", good["tagger_output_bias"][:6].copy(), "output_bias: expected 7 values"),
        ("tagger_bias", np.full_like(good["tagger_bias"], np.nan), "bias: expected finite"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            net(good | {name: bad})
    with pytest.raises(InvalidArgument, match="vectors: expected 11 columns, got 10"):
        net(good).emissions(vectors_of(1, 2, 10))
    with pytest.raises(InvalidArgument, match="vectors: expected 3 dimension"):
        net(good).emissions(np.zeros((2, 11), np.float32))
    assert net(good).emissions(np.zeros((0, 4, 11), np.float32)).shape == (0, 4, 7)
    assert net(good).emissions(np.zeros((4, 0, 11), np.float32)).shape == (4, 0, 7)


def table(width):
    codes = np.zeros((1, width), np.int8)
    return {"token_keys": np.array([1], np.uint32), "token_codes": codes, "token_scales": np.ones(1, np.float32)}


def test_a_model_whose_parts_do_not_fit_is_refused():
    Tagger({"slots": ["a", "b", "c"]}, weights() | table(11))
    with pytest.raises(FormatError, match=r"takes 11 columns.*expected 12"):
        Tagger({"slots": ["a", "b", "c"]}, weights() | table(12))
    with pytest.raises(FormatError, match=r"gives 7 tags.* 5 for 2 slots"):
        Tagger({"slots": ["a", "b"]}, weights() | table(11))
    meta, arrays = read_folder(starter.MODEL, "nlu")
    with pytest.raises(FormatError, match=r"tagger_bias.*train it again"):
        NLU(meta, {k: v for k, v in arrays.items() if k != "tagger_bias"})
    with pytest.raises(FormatError, match=r"output_bias.*train it again"):
        NLU(meta, dict(arrays) | {"tagger_output_bias": arrays["tagger_output_bias"][:-1]})


def test_a_long_text_is_tagged_in_windows():
    tagger = Tagger({"slots": ["a", "b", "c"]}, weights() | table(11))
    vectors = vectors_of(2, 2_100, 11)
    parts = [tagger._emissions(np.ascontiguousarray(vectors[:, i : i + 1_024])) for i in (0, 1_024, 2_048)]
    assert tagger._emissions(vectors).tobytes() == np.concatenate(parts, axis=1).tobytes()


def test_a_model_without_slots_has_no_graph_of_them(tmp_path):
    meta, arrays = read_folder(starter.MODEL, "nlu")
    model = NLU({k: v for k, v in meta.items() if k != "tagger"}, arrays)
    with pytest.raises(InvalidArgument, match="no tagger of slots"):
        model.export_slots_onnx(tmp_path / "slots.onnx")
