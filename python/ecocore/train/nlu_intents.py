"""Fits the intent model: hashed n-grams, and word vectors where an encoder is at hand, through one hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .nlu_words import WordVectors

__all__ = ["IntentArrays", "IntentOptions", "fit_intents", "label_rows", "quantized"]

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class IntentOptions:
    """How the intent model is fitted. The defaults were chosen on the validation set of CLINC150 and by
    cross-validation on the training set of SMP2019."""

    hidden: int = 128  #: units of one member
    members: int = 3  #: models that differ in their seed, averaged; at run time they are one wide model
    rank: int = 96  #: columns of the stored table, which the wide model is compressed to
    epochs: int | None = None  #: None: 25 below 5,000 examples, else 15
    batch: int = 32
    table_rate: float = 0.1  #: AdaGrad rates; both fall linearly to zero
    dense_rate: float = 0.02
    ngram_dropout: float = 0.5
    hidden_dropout: float = 0.3
    smoothing: float = 0.0
    min_texts: int | None = None  #: n-grams of fewer texts are left out; None: 2 from 1,000 examples on, else 1
    meaning_gain: float = 3.0  #: weight of the word vectors beside the n-grams
    seed: int = 0


@dataclass(frozen=True)
class IntentArrays:
    """The arrays of :class:`ecocore._core.IntentModel`, in the order of its arguments."""

    keys: npt.NDArray[np.uint32]
    idf: Float
    meaning_gain: float
    codes: npt.NDArray[np.int8]
    scales: Float
    projection: Float
    bias: Float
    output: Float
    output_bias: Float

    def model(self) -> _core.IntentModel:
        return _core.IntentModel(
            self.keys,
            self.idf,
            self.meaning_gain,
            self.codes,
            self.scales,
            self.projection,
            self.bias,
            self.output,
            self.output_bias,
        )


def label_rows(labels: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """indptr and indices of the examples' intents; an example out of scope has none."""
    indptr = np.zeros(len(labels) + 1, np.int64)
    np.cumsum([len(row) for row in labels], out=indptr[1:])
    return indptr, np.array([i for row in labels for i in sorted(row)], np.int32)


def fit_intents(
    texts: Sequence[str],
    labels: Sequence[Sequence[int]],
    intents: int,
    options: IntentOptions,
    words: WordVectors | None = None,
    *,
    num_threads: int = 0,
) -> IntentArrays:
    """Trains on ``texts`` with the numbers of their intents (none: out of scope)."""
    texts = list(texts)
    gain = options.meaning_gain if words is not None else 0.0
    min_texts = options.min_texts or (2 if len(texts) >= 1_000 else 1)
    keys, frequencies, ngrams = _core.build_vocabulary(
        texts, min_texts, words.words if words is not None else [], num_threads
    )
    idf = (np.log((1 + len(texts)) / (1 + frequencies)) + 1).astype(np.float32)
    indptr, rows, weights, _ = _core.Featurizer(keys, idf, gain).featurize(texts, num_threads)
    own = rows < ngrams  # the rest are word vectors, which enter as a dense input and are not trained
    dense = None
    vectors = np.empty((0, 0), np.float32)
    if words is not None:
        position = {_core.murmur3_32(w.encode(), 2): i for i, w in reversed(list(enumerate(words.words)))}
        vectors = words.vectors[[position[int(key)] for key in keys[ngrams:]]]
        dense = _pooled(indptr, rows, weights, ngrams, vectors)
        kept = np.concatenate([[0], np.cumsum(own)])[indptr]
        indptr, rows, weights = (
            kept.astype(np.int64),
            np.ascontiguousarray(rows[own]),
            np.ascontiguousarray(weights[own]),
        )

    training = _core.IntentTraining()
    training.hidden, training.batch = options.hidden, options.batch
    training.epochs = options.epochs or (25 if len(texts) < 5_000 else 15)
    training.table_rate, training.dense_rate = options.table_rate, options.dense_rate
    training.ngram_dropout, training.hidden_dropout = options.ngram_dropout, options.hidden_dropout
    training.smoothing, training.seed = options.smoothing, options.seed * 1000
    members = _core.train_intents(
        indptr, rows, weights, ngrams, *label_rows(labels), intents, dense, training, options.members, num_threads
    )
    table = np.concatenate([np.concatenate([m[0], vectors @ m[1]]) if len(vectors) else m[0] for m in members], axis=1)
    narrow, projection = _compressed(table, (1 + frequencies) * idf**2, options.rank)
    codes, scales = quantized(narrow)
    return IntentArrays(
        keys,
        idf,
        gain,
        codes,
        scales,
        projection,
        np.concatenate([m[2] for m in members]),
        (np.concatenate([m[3] for m in members]) / len(members)).astype(np.float32),
        np.asarray(np.mean([m[4] for m in members], axis=0, dtype=np.float64), np.float32),
    )


def _pooled(
    indptr: npt.NDArray[np.int64], rows: npt.NDArray[np.int32], weights: Float, first: int, vectors: Float
) -> Float:
    """The weighted sum of each text's word vectors, [texts, dimensions]."""
    out = np.zeros((len(indptr) - 1, vectors.shape[1]), np.float32)
    mine = rows >= first
    owner = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[mine]
    for part in range(0, len(owner), 1 << 16):  # bounded memory
        cut = slice(part, part + (1 << 16))
        np.add.at(out, owner[cut], vectors[rows[mine][cut] - first] * weights[mine][cut, None])
    return out


def _compressed(table: Float, weight: npt.NDArray[np.floating[Any]], rank: int) -> tuple[Float, Float]:
    """(narrow, projection) with ``narrow @ projection`` nearest to ``table`` among all products of that rank, rows
    weighing as often as texts meet them: the leading eigenvectors of the weighted Gram matrix (Eckart and Young 1936).
    """
    weighted = table * np.sqrt(weight).astype(np.float32)[:, None]
    _, vectors = np.linalg.eigh((weighted.T @ weighted).astype(np.float64))
    leading = np.ascontiguousarray(vectors[:, ::-1][:, :rank], np.float32)
    return table @ leading, np.ascontiguousarray(leading.T)


def quantized(table: Float) -> tuple[npt.NDArray[np.int8], Float]:
    """int8 codes and one scale a row."""
    scales = np.asarray(np.maximum(np.abs(table).max(axis=1, initial=0) / 127, 1e-20), np.float32)
    return np.rint(table / scales[:, None]).astype(np.int8), scales
