"""Viterbi against trying every path; features that are the same wherever a token stands; tags and offsets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

for _package in ("torch", "onnx"):
    pytest.importorskip(_package, reason="training needs the extra 'train'")

from ecocore import InvalidArgument, _core
from ecocore.nlu import transition_limits
from ecocore.train.nlu_examples import Example
from ecocore.train.nlu_slots import bio_tags


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_viterbi_finds_the_best_path(steps, tags, seed):
    random = np.random.default_rng(seed)
    e, t = (
        random.standard_normal((steps, tags)).astype(np.float32),
        random.standard_normal((tags, tags)).astype(np.float32),
    )
    start, end = random.standard_normal((2, tags)).astype(np.float32)

    def score(path):
        return (
            start[path[0]]
            + end[path[-1]]
            + sum(e[i, k] for i, k in enumerate(path))
            + sum(t[a, b] for a, b in itertools.pairwise(path))
        )

    best = max(itertools.product(range(tags), repeat=steps), key=score)
    assert score(_core.viterbi(e, t, start, end).tolist()) == pytest.approx(score(best), abs=1e-4)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_an_inside_tag_never_stands_without_its_beginning(steps, seed):
    tags = ["O", "B-a", "I-a", "B-b", "I-b"]
    limits, start = transition_limits(tags)
    e = np.random.default_rng(seed).standard_normal((steps, 5)).astype(np.float32)
    path = [tags[k] for k in _core.viterbi(e, limits, start, np.zeros(5, np.float32))]
    for before, tag in itertools.pairwise(["O", *path]):
        assert tag[0] != "I" or before[2:] == tag[2:]


def test_viterbi_of_nothing_and_of_wrong_shapes():
    z = np.zeros((0, 2), np.float32)
    assert _core.viterbi(z, np.zeros((2, 2), np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32)).size == 0
    with pytest.raises(InvalidArgument, match="transitions"):
        _core.viterbi(z, np.zeros((3, 2), np.float32), np.zeros(2, np.float32), np.zeros(2, np.float32))


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


def test_a_vocabulary_gives_zero_for_what_it_does_not_know():
    known = np.unique(features("my order")[features("my order") != 0])
    vocabulary = _core.TokenVocabulary(known)
    rows = vocabulary.rows(_core.PreparedText("my xylophone"), [])
    assert (rows[0] != 0).sum() == (features("my")[0] != 0).sum()
    assert rows[1, 0] == 0


def test_tags_follow_characters():
    text = "寄到北京市,单号12345678"
    example = Example(text, ("x",), (("place", 2, 5), ("order", 8, 16)))
    tokens = _core.PreparedText(text).tokens
    assert bio_tags(example, tokens) == ["O", "O", "B-place", "I-place", "I-place", "O", "O", "O", "B-order"]
