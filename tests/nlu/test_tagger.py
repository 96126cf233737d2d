"""Decoding against trying every path; features that are the same wherever a token stands; tags and offsets."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs the extra 'train'")

from ecocore import InvalidArgument, _core
from ecocore.nlu_slots import Tagger
from ecocore.train.nlu_examples import Example
from ecocore.train.nlu_slots import SlotOptions, _meanings, bio_tags, fit_tagger
from ecocore.train.nlu_words import WordVectors


def best_path(emissions):
    """Of all sequences of tags that BIO allows, that with the largest sum; of equal ones the smallest from the end."""
    steps, tags = emissions.shape
    paths = [
        p
        for p in itertools.product(range(tags), repeat=steps)
        if all(k == 0 or k % 2 or before in (k - 1, k) for before, k in itertools.pairwise((0, *p)))
    ]
    return max(paths, key=lambda p: (sum(float(emissions[t, k]) for t, k in enumerate(p)), [-k for k in reversed(p)]))


def spans_of(path, emissions):
    out = []
    for t, k in enumerate(path):
        if k % 2:
            out.append([k // 2, t, t + 1, emissions[t, k]])
        elif k:
            out[-1][2:] = [t + 1, min(out[-1][3], emissions[t, k])]
    return [tuple(s) for s in out]


@given(st.integers(1, 5), st.integers(0, 2), st.integers(0, 2**32 - 1), st.booleans())
def test_decodes_the_best_path_of_bio_tags(steps, slots, seed, ties):
    random = np.random.default_rng(seed)
    shape = (3, steps, 1 + 2 * slots)
    emissions = (random.integers(-2, 3, shape) if ties else random.standard_normal(shape)).astype(np.float32)
    expected = [spans_of(best_path(e), e) for e in emissions]
    assert _core.decode_bio(emissions) == expected
    assert _core.decode_bio(emissions[1:2]) == expected[1:2]


def test_decoding_nothing_and_wrong_shapes():
    assert _core.decode_bio(np.zeros((2, 0, 3), np.float32)) == [[], []]
    with pytest.raises(InvalidArgument, match="odd number of tags"):
        _core.decode_bio(np.zeros((1, 4, 2), np.float32))
    with pytest.raises(InvalidArgument, match="emissions"):
        _core.decode_bio(np.zeros((4, 3), np.float32))


def test_emissions_that_are_no_numbers_do_no_harm():
    for bad in (np.nan, -np.inf, np.inf):
        spans = _core.decode_bio(np.full((1, 5, 7), bad, np.float32))[0]
        assert all(0 <= a < b <= 5 and 0 <= slot < 3 for slot, a, b, _ in spans)


def features(text, rules=()):
    return _core.token_features(_core.PreparedText(text), list(rules))


def test_features_tell_case_numbers_and_rules_apart():
    a, b = features("order 12345678")[1], features("order 87654321")[1]
    assert (a == b).all()  # long numbers are alike
    assert features("Red")[0, 6] != features("red")[0, 6]
    assert (features("Red")[0, :6] == features("red")[0, :6]).all()
    plain, ruled = features("pay 20 yuan"), features("pay 20 yuan", [(4, 11, 7)])
    assert (plain[:, 7] == 0).all()
    assert ruled[0, 7] == 0
    assert ruled[1, 7] not in (0, ruled[2, 7])  # beginning and inside differ


def test_vectors_are_the_sums_of_the_rows_of_known_features(isa):
    random = np.random.default_rng(0)
    keys = np.unique(features("my order 我的")[features("my order 我的") != 0])
    codes = random.integers(-127, 128, (len(keys), 10)).astype(np.int8)
    scales = random.random(len(keys)).astype(np.float32)
    table = _core.TokenTable(keys, codes, scales)
    rows = {int(k): codes[i].astype(np.float64) * scales[i] for i, k in enumerate(keys)}
    texts = ["my xylophone", "order 我", "我order"]
    vectors = table.vectors([_core.PreparedText(t) for t in texts], [[] for _ in texts])
    for text, own in zip(texts, vectors, strict=True):
        expected = [sum((rows.get(int(h), np.zeros(10)) for h in token), np.zeros(10)) for token in features(text)]
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-4)
        alone = table.vectors([_core.PreparedText(text)], [[]])
        assert alone[0].tobytes() == own.tobytes()


def test_texts_of_different_lengths_do_not_run_together():
    table = _core.TokenTable(np.array([1], np.uint32), np.zeros((1, 4), np.int8), np.ones(1, np.float32))
    with pytest.raises(InvalidArgument, match="same number of tokens"):
        table.vectors([_core.PreparedText("a"), _core.PreparedText("a b")], [[], []])
    with pytest.raises(InvalidArgument, match="rules"):
        table.vectors([_core.PreparedText("a")], [])
    with pytest.raises(InvalidArgument, match="scales"):
        _core.TokenTable(np.array([1], np.uint32), np.zeros((1, 4), np.int8), np.ones(2, np.float32))


def test_tags_follow_characters():
    text = "寄到北京市,单号12345678"
    example = Example(text, ("x",), (("place", 2, 5), ("order", 8, 16)))
    tokens = _core.PreparedText(text).tokens
    assert bio_tags(example, tokens) == ["O", "O", "B-place", "I-place", "I-place", "O", "O", "O", "B-order"]


def tag(model, text):
    found = Tagger({"slots": model.slots}, model.arrays()).tag(_core.PreparedText(text), [])
    return [(f.name, text[f.start : f.end]) for f in found]


SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def test_a_word_that_no_example_has_is_tagged_by_its_vector():
    """Things and moods stand in the same sentences; only the word vectors tell what a new word is."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(SYLLABLES, 3)) for _ in range(120)]
    is_thing = np.arange(len(words)) % 2 == 0
    vectors = random.standard_normal((len(words), 512)).astype(np.float32) * 0.02
    vectors[:, 0] += np.where(is_thing, 0.5, -0.5)
    known = list(zip(words, is_thing, strict=True))[:80]
    frames = ["where is my {}", "{} again", "i have no {} today", "my {} ?"]
    examples = []
    for (word, thing), frame in itertools.product(known, frames):
        text = frame.format(word)
        at = text.index(word)
        examples.append(Example(text, ("a",), (("thing", at, at + len(word)),) if thing else ()))
    options = SlotOptions(min_steps=300, epochs=1)
    blind = fit_tagger(examples, [[]] * len(examples), options)
    seeing = fit_tagger(examples, [[]] * len(examples), options, WordVectors(words, vectors))
    new = list(zip(words, is_thing, strict=True))[80:]

    def right(model):
        return np.mean([tag(model, f"where is my {w}") == ([("thing", w)] if t else []) for w, t in new])

    assert right(seeing) > 0.9
    assert right(blind) < 0.7


def test_a_piece_of_ideographs_is_known_to_each_of_its_characters():
    """The rows that word vectors add are those that the features of a text look up."""
    piece = "电热毯"
    found = _meanings(WordVectors(["热", "电热", piece, "sock"], np.eye(4, 512, dtype=np.float32)), 4)
    features = [_core.token_features(_core.PreparedText(t), []) for t in ("电热毯", "sock")]
    looked_up = {(int(h), k) for f in features for row in f for k, h in enumerate(row) if int(h) in set(found.keys)}
    assert looked_up == {(int(h), int(k)) for h, k in zip(found.keys, found.features, strict=True)}
    assert len(looked_up) == 1 + 2 + 3 + 1


def test_word_vectors_that_are_no_words_of_tokens_add_nothing():
    found = _meanings(WordVectors(["电热毯子"], np.eye(1, 512, dtype=np.float32)), 4)
    assert (found.keys.shape, found.vectors.shape) == ((0,), (0, 4))


def test_the_number_of_cores_changes_no_byte():
    code = """
import hashlib, numpy as np
from ecocore.train import Example
from ecocore.train.nlu_slots import SlotOptions, fit_tagger
from ecocore.train.nlu_words import WordVectors
words = [f"w{i}" for i in range(3000)]
vectors = np.random.default_rng(0).standard_normal((3000, 512)).astype(np.float32) * np.exp(-np.arange(512) / 60)
examples = [Example(f"where is my {w}", ("a",), (("thing", 12, 12 + len(w)),)) for w in words[:200]]
options = SlotOptions(min_steps=20, epochs=1)
model = fit_tagger(examples, [[]] * 200, options, WordVectors(words, vectors.astype(np.float32)))
print(hashlib.sha256(b"".join(a.tobytes() for _, a in sorted(model.arrays().items()))).hexdigest())
"""
    found = set()
    for n in "12":
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), n)
        run = [sys.executable, "-c", code]
        found.add(subprocess.run(run, env=os.environ | threads, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
