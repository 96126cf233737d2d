"""n-grams, their weights and the vocabulary against slow twins that read like the definitions."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecocore import InvalidArgument, _core

chatter = st.text(st.sampled_from("abc def1 23456?!订单 我的到了. "), max_size=40)


def reference(text, meanings=True):
    """(string, group) of every n-gram of an already normalised text."""
    tokens = re.findall(r"[a-z]+|[0-9]+|[^a-z0-9 ]", text)
    spans = [m.span() for m in re.finditer(r"[a-z]+|[0-9]+|[^a-z0-9 ]", text)]
    han = [t > "\u2e80" for t in tokens]
    name = [f"#{min(len(t), 24)}" if t.isdigit() and len(t) > 4 else t for t in tokens]
    word = [t.isalnum() for t in tokens]
    out = [(n, 0) for n in name]
    neighbours = [n for n, w in zip(name, word, strict=True) if w]
    out += [(f"{a} {b}", 0) for a, b in pairwise(neighbours)]

    def run(i):
        j = i
        while j + 1 < len(tokens) and han[j + 1] and spans[j + 1][0] == spans[j][1]:
            j += 1
        return "".join(tokens[i : j + 1])

    for i, t in enumerate(tokens):
        if han[i]:
            out += [(run(i)[:n], 1) for n in range(2, 5) if n <= len(run(i))]
            if meanings:
                out += [(run(i)[:n], 2) for n in range(1, 5) if n <= len(run(i))]
        elif word[i] and name[i] == t:
            padded = f" {t[:40]} "
            out += [(padded[a : a + n], 1) for n in range(2, 6) for a in range(len(padded) - n + 1)]
            if meanings:
                out.append((t, 2))
    return out


@given(chatter)
def test_ngrams_are_those_of_the_definition(text):
    prepared = _core.PreparedText(text)
    ours = _core.ngrams(prepared, True)
    assert Counter((s, g) for s, g, _ in ours) == Counter(reference(prepared.normalized))
    assert all(h == _core.murmur3_32(s.encode(), g) for s, g, h in ours)
    assert {g for _, g, _ in _core.ngrams(prepared, False)} <= {0, 1}


def test_vocabulary_counts_texts_not_occurrences():
    keys, frequencies, ngrams = _core.build_vocabulary(["aa aa", "aa bb", "cc"], 2, ["aa", "zz", "aa"], 1)
    found = dict(zip(keys.tolist(), frequencies.tolist(), strict=True))
    assert found[_core.murmur3_32(b"aa", 0)] == 2
    assert _core.murmur3_32(b"cc", 0) not in found
    assert ngrams == len(keys) - 2
    assert keys[ngrams:].tolist() == [_core.murmur3_32(w, 2) for w in (b"aa", b"zz")]
    assert frequencies[ngrams:].tolist() == [2, 0]


@given(st.lists(chatter, min_size=1, max_size=5), st.sampled_from([0.0, 2.0]))
def test_weights_are_tf_idf_scaled_by_group(texts, gain):
    words = ["abc", "我的", "到"]
    keys, _, _ = _core.build_vocabulary(texts, 1, words if gain else [], 1)
    idf = np.linspace(1, 3, len(keys), dtype=np.float32)
    indptr, rows, weights, unseen = _core.Featurizer(keys, idf, gain).featurize([*texts, "unseen wörter"], 1)
    row = {int(k): i for i, k in enumerate(keys)}
    for t, text in enumerate(texts):
        expected = {}
        for g in (0, 1, 2):
            counts = Counter(h for _, group, h in _core.ngrams(_core.PreparedText(text), gain > 0) if group == g)
            part = {row[h]: (1 + math.log(n)) * float(idf[row[h]]) for h, n in counts.items() if h in row}
            norm = math.sqrt(sum(v * v for v in part.values())) / (gain if g == 2 else 1) if part else 1
            expected |= {r: v / norm for r, v in part.items()}
        cut = slice(indptr[t], indptr[t + 1])
        assert rows[cut].tolist() == sorted(expected)
        np.testing.assert_allclose(weights[cut], [expected[r] for r in sorted(expected)], rtol=1e-5)
        assert unseen[t, :2].tolist() == [0, 0]
    assert unseen[-1, 0] == 1


def test_doubled_keys_are_refused():
    with pytest.raises(InvalidArgument, match="keys"):
        _core.Featurizer(np.array([3, 3], np.uint32), np.ones(2, np.float32), 0.0)
