"""Finds the question of the FAQ that is nearest to what was asked: TF-IDF over hashed n-grams, our own exact top-k."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..arrays import FloatArray
from ..errors import FormatError
from ..topk import TopKIndex

__all__ = ["FaqIndex", "FaqMatch"]

_DIMENSIONS = 2048
_WORD = re.compile(r"[a-z0-9']+|[\u3400-\u9fff]")
_COMMON_WORDS = """a an the is are was were be do does did i you we it my your me to of for in on at and or can could
would will how what when where who why please have has with this that there from if so am
的 了 吗 呢 是 我 你 您 们 么 请 问 有 在 吧 啊 什 怎 能 可 以 一 个"""
_COMMON = frozenset(_COMMON_WORDS.split())


class FaqMatch(NamedTuple):
    """An entry of the FAQ, the question of it that is nearest, and the cosine similarity."""

    key: str
    question: str
    score: float


class FaqIndex:
    """An index over the questions of ``faq.json``, one per language. It does not change; threads may share it."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._languages: dict[str, tuple[TopKIndex, list[tuple[str, str]], FloatArray]] = {}
        for language in ("en", "zh"):
            try:
                questions = [(key, q) for key, entry in entries.items() for q in entry[language]["questions"]]
            except (KeyError, TypeError) as error:
                raise FormatError(
                    f"faq.json: expected questions and an answer in {language!r} for every entry"
                ) from error
            grams = [Counter(_grams(q)) for _, q in questions]
            seen = Counter(b for g in grams for b in g)
            idf = np.full(_DIMENSIONS, math.log(1 + len(questions)), np.float32)
            for bucket, n in seen.items():
                idf[bucket] = math.log((1 + len(questions)) / (1 + n)) + 0.1
            vectors = np.stack([_vector(g, idf) for g in grams])
            self._languages[language] = (TopKIndex(vectors, num_threads=1), questions, idf)

    def search(self, text: str, language: str, k: int = 3) -> list[FaqMatch]:
        """The best entries for a question, best first, each once."""
        index, questions, idf = self._languages[language]
        vector = _vector(Counter(_grams(text)), idf)
        if not vector.any():
            return []
        found: dict[str, FaqMatch] = {}
        ids, scores = index.search(vector, min(4 * k, index.n_items))
        for i, score in zip(ids.tolist(), scores.tolist(), strict=True):
            key, question = questions[i]
            found.setdefault(key, FaqMatch(key, question, score))
        return list(found.values())[:k]


def _grams(text: str) -> Iterator[int]:
    """Buckets of words, of pairs of neighbours, and of the letters within longer words (typos keep most of those)."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    told = [w for w in words if w not in _COMMON] or words
    for w in told:
        yield _bucket(w)
        if len(w) > 4:
            for i in range(len(w) - 3):
                yield _bucket("#" + w[i : i + 4])
    for a, b in itertools.pairwise(words):
        if a not in _COMMON or b not in _COMMON:
            yield _bucket(f"{a} {b}")


def _bucket(gram: str) -> int:
    return zlib.crc32(gram.encode()) % _DIMENSIONS


def _vector(grams: Mapping[int, int], idf: FloatArray) -> FloatArray:
    vector = np.zeros(_DIMENSIONS, np.float32)
    for bucket, n in grams.items():
        vector[bucket] = (1 + math.log(n)) * idf[bucket]
    norm = float(np.linalg.norm(vector))
    return vector / np.float32(norm) if norm else vector
