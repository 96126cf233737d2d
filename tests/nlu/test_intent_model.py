"""The intent model against its formula; training that does not depend on threads or instruction sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

for _package in ("torch", "onnx"):
    pytest.importorskip(_package, reason="training needs the extra 'train'")

from ecocore import InvalidArgument, _core
from ecocore.train.nlu_intents import IntentOptions, fit_intents
from ecocore.train.nlu_words import WordVectors

TEXTS = [
    "where is my order",
    "track my parcel",
    "i want a refund",
    "give me my money back",
    "hello there",
    "我的订单在哪",
    "我要退款",
]
LABELS = [[0], [0], [1], [1], [], [0], [1]]
OPTIONS = IntentOptions(hidden=24, members=2, epochs=30, ngram_dropout=0.1, hidden_dropout=0.1)


@pytest.fixture(scope="module")
def words():
    random = np.random.default_rng(0)
    names = ["order", "parcel", "refund", "money", "订单", "退款", "unknown"]
    return WordVectors(names, random.standard_normal((len(names), 16)).astype(np.float32))


@pytest.fixture(scope="module")
def arrays(words):
    return fit_intents(TEXTS, LABELS, 2, OPTIONS, words, num_threads=1)


def by_formula(a, text):
    _, rows, weights, _ = _core.Featurizer(a.keys, a.idf, a.meaning_gain).featurize([text], 1)
    table = a.codes.astype(np.float64) * a.scales[:, None] @ a.projection
    hidden = np.maximum(0, a.bias + weights.astype(np.float64) @ table[rows])
    return a.output_bias + hidden @ a.output


@pytest.mark.parametrize("text", [*TEXTS, "", "zzz qqq", "where is my refund 订单"])
def test_scores_are_those_of_the_formula(arrays, isa, text):
    logits, _ = arrays.model().score(_core.PreparedText(text))
    np.testing.assert_allclose(logits, by_formula(arrays, text), rtol=1e-4, atol=1e-4)


def test_learns_what_it_was_shown(arrays):
    logits, _ = arrays.model().score_many(TEXTS, 1)
    for row, label in zip(logits, LABELS, strict=True):
        assert (row > 0).nonzero()[0].tolist() == label


def test_alone_equals_in_a_batch_bit_for_bit(arrays, isa):
    model = arrays.model()
    texts = TEXTS * 9
    logits, unseen = model.score_many(texts, 2)
    for i, text in enumerate(texts):
        alone, share = model.score(_core.PreparedText(text))
        assert alone.tobytes() == logits[i].tobytes()
        assert share.tobytes() == unseen[i].tobytes()


def test_training_gives_the_same_bits_for_any_threads_and_isa(arrays, words, isa):
    for threads in (1, 2):
        again = fit_intents(TEXTS, LABELS, 2, OPTIONS, words, num_threads=threads)
        for name in ("keys", "codes", "scales", "projection", "bias", "output", "output_bias"):
            assert getattr(again, name).tobytes() == getattr(arrays, name).tobytes(), name


def test_an_explanation_sums_to_the_logit(arrays):
    model = arrays.model()
    for text in TEXTS:
        prepared = _core.PreparedText(text)
        parts = model.explain(prepared, 0)
        hidden = model.encode(prepared)
        biases = arrays.output_bias[0] + (arrays.bias * (hidden > 0)) @ arrays.output[:, 0]
        logits, _ = model.score(prepared)
        assert sum(p[3] for p in parts) + biases == pytest.approx(float(logits[0]), abs=1e-3)
        for _, start, end, _ in parts:
            assert 0 <= start < end <= len(text)


def test_a_narrow_table_stands_for_the_wide_one(arrays, words):
    wide = fit_intents(TEXTS, LABELS, 2, OPTIONS, words, num_threads=1)
    narrow = fit_intents(TEXTS, LABELS, 2, replace(OPTIONS, rank=24), words, num_threads=1)
    assert wide.codes.shape[1] == OPTIONS.hidden * OPTIONS.members  # as wide as the hidden layer: nothing is lost
    assert narrow.codes.shape == (len(wide.keys), 24)
    a, b = (x.model().score_many(TEXTS, 1)[0] for x in (wide, narrow))
    np.testing.assert_allclose(a, b, atol=0.5)
    np.testing.assert_array_equal(a > 0, b > 0)


def test_parts_that_do_not_fit_are_refused(arrays):
    with pytest.raises(InvalidArgument, match="projection"):
        replace(arrays, projection=np.zeros((arrays.codes.shape[1], 3), np.float32)).model()
    with pytest.raises(InvalidArgument, match="codes"):
        replace(arrays, projection=np.zeros((3, arrays.bias.size), np.float32)).model()


def test_seeds_differ():
    a = fit_intents(TEXTS, LABELS, 2, OPTIONS)
    b = fit_intents(TEXTS, LABELS, 2, IntentOptions(hidden=24, members=2, epochs=30, seed=1))
    assert a.codes.tobytes() != b.codes.tobytes()
