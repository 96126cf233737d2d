"""Fits the slot tagger: a bidirectional LSTM over hashed features of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import missing_extra
from .nlu_examples import Example
from .nlu_intents import quantized
from .nlu_words import WordVectors, is_han

__all__ = ["SlotOptions", "TaggerArrays", "bio_tags", "fit_tagger"]

# The features of a token that stand for a piece of ideographs, by its length (tagger.hpp): the first character knows
# that it begins the piece, the last that it ends it.
_PIECES = {1: (0,), 2: (1, 2), 3: (3, 4, 5)}


@dataclass(frozen=True)
class SlotOptions:
    """How the tagger is fitted. The defaults were chosen on the development set of SNIPS."""

    dimensions: int = 64  #: of a token's vector
    hidden: int = 80  #: units of the LSTM in each direction
    epochs: int = 12
    min_steps: int = 1_000  #: of a batch each; few examples are seen in more epochs
    batch: int = 32
    rate: float = 4e-3  #: Adam; falls to zero along a cosine
    feature_dropout: float = 0.15  #: whole features of a token, so that unknown words are nothing new
    meanings: int = 96  #: principal components of the word vectors
    dropout: float = 0.4
    smoothing: float = 0.05
    min_tokens: int = 2  #: features of fewer tokens stand for "unknown"
    seed: int = 0


@dataclass(frozen=True)
class TaggerArrays:
    slots: list[str]  #: in the order of the tags: O, then B and I of each
    token_keys: npt.NDArray[np.uint32]
    token_codes: npt.NDArray[np.int8]
    token_scales: npt.NDArray[np.float32]
    tagger_input: npt.NDArray[np.float32]  #: this and what follows: see ecocore.nlu_slots.NET_ARRAYS
    tagger_recurrent: npt.NDArray[np.float32]
    tagger_bias: npt.NDArray[np.float32]
    tagger_output: npt.NDArray[np.float32]
    tagger_output_bias: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name, as a model keeps them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "slots"}


def bio_tags(example: Example, tokens: Sequence[tuple[int, int]]) -> list[str]:
    """A BIO tag for every token: of a slot where they share a character."""
    out = []
    slots = sorted(example.slots, key=lambda s: s[1])
    at, inside = 0, -1
    for start, end in tokens:
        while at < len(slots) and slots[at][2] <= start:
            at += 1
        if at < len(slots) and slots[at][1] < end:
            out.append(("I-" if inside == at else "B-") + slots[at][0])
            inside = at
        else:
            out.append("O")
    return out


def fit_tagger(
    examples: Sequence[Example],
    rules: Sequence[Sequence[tuple[int, int, int]]],
    options: SlotOptions,
    words: WordVectors | None = None,
) -> TaggerArrays:
    """Trains on examples and, for each, the (start, end, hash of the name) that rules and lookup lists find.

    With ``words``, a token is also what its word vector says, so that a product that no example names is still a thing
    that can be bought; at run time these vectors are part of the table. On one thread: batches are too small to share,
    and so the result does not depend on the number of cores.
    """
    try:
        import torch
    except ImportError:
        raise missing_extra("PyTorch", "train", "training a slot tagger") from None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit(examples, rules, options, words)
    finally:
        torch.set_num_threads(threads)


def _fit(
    examples: Sequence[Example],
    rules: Sequence[Sequence[tuple[int, int, int]]],
    options: SlotOptions,
    words: WordVectors | None,
) -> TaggerArrays:
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    torch.manual_seed(options.seed)
    random = np.random.default_rng(options.seed)
    prepared = [_core.PreparedText(e.text) for e in examples]
    labels = [bio_tags(e, p.tokens) for e, p in zip(examples, prepared, strict=True)]
    names = sorted({t[2:] for row in labels for t in row if t != "O"})
    tags = ["O", *(f"{b}-{n}" for n in names for b in "BI")]
    number = {t: i for i, t in enumerate(tags)}
    hashes = [_core.token_features(p, list(r)) for p, r in zip(prepared, rules, strict=True)]
    counts = Counter(np.concatenate([h.ravel() for h in hashes]).tolist())
    keys = np.array(sorted(k for k, n in counts.items() if k != 0 and n >= options.min_tokens), np.uint32)
    rows = _rows(hashes, keys)
    meanings = _meanings(words, options.meanings)
    meaning_rows = _rows(hashes, meanings.keys)
    targets = [np.array([number[t] for t in row]) for row in labels]
    used = [i for i, r in enumerate(rows) if len(r)]
    features = hashes[0].shape[1]

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(len(keys) + 1, options.dimensions, padding_idx=0)
            nn.init.normal_(self.table.weight, std=0.3)
            with torch.no_grad():
                self.table.weight[0] = 0
            self.register_buffer("meanings", torch.from_numpy(np.pad(meanings.vectors, ((1, 0), (0, 0)))))
            # One projection for each feature: the end of a word does not say what its beginning says.
            self.project = nn.Parameter(torch.empty(features, meanings.vectors.shape[1], options.dimensions))
            nn.init.normal_(self.project, std=0.3)
            self.lstm = nn.LSTM(options.dimensions, options.hidden, bidirectional=True, batch_first=True)
            self.out = nn.Linear(2 * options.hidden, len(tags))
            self.drop = nn.Dropout(options.dropout)

        def forward(self, x: Any, m: Any, lengths: Any) -> Any:
            e = self.table(x).sum(2)
            if len(meanings.keys):
                e = e + self.meanings[m].flatten(2) @ self.project.flatten(0, 1)  # type: ignore[index]
            packed = pack_padded_sequence(self.drop(e.tanh()), lengths, batch_first=True, enforce_sorted=False)
            h, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            return self.out(self.drop(h))

    net = Tagger()
    per_epoch = max(1, -(-len(used) // options.batch))
    epochs = max(options.epochs, -(-options.min_steps // per_epoch))
    steps = epochs * per_epoch
    optimizer = torch.optim.Adam(net.parameters(), lr=options.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(epochs):
        order = random.permutation(used)
        for first in range(0, len(order), options.batch):
            part = order[first : first + options.batch]
            lengths = np.array([len(rows[i]) for i in part])
            x = np.zeros((len(part), lengths.max(), features), np.int64)
            m = np.zeros_like(x)
            y = np.full((len(part), lengths.max()), -100, np.int64)
            for j, i in enumerate(part):
                x[j, : lengths[j]], y[j, : lengths[j]] = rows[i], targets[i]
                m[j, : lengths[j]] = meaning_rows[i]
            x[random.random(x.shape) < options.feature_dropout] = 0
            if len(meanings.keys):
                m[random.random(m.shape) < options.feature_dropout] = 0
            z = net(torch.from_numpy(x), torch.from_numpy(m), torch.from_numpy(lengths))
            loss = F.cross_entropy(z.flatten(0, 1), torch.from_numpy(y).flatten(), label_smoothing=options.smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    weights = {k: v.detach().numpy() for k, v in net.state_dict().items()}
    all_keys = np.union1d(keys, meanings.keys)
    table = np.zeros((len(all_keys), options.dimensions), np.float32)
    table[np.searchsorted(all_keys, keys)] = weights["table.weight"][1:]
    if len(meanings.keys):
        projected = np.einsum("nd,nde->ne", meanings.vectors, weights["project"][meanings.features])
        table[np.searchsorted(all_keys, meanings.keys)] += projected
    codes, scales = quantized(table)
    return TaggerArrays(names, all_keys, codes, scales, *_net(weights))


class _Meanings(NamedTuple):
    keys: npt.NDArray[np.uint32]  # of token features, ascending
    features: npt.NDArray[np.int64]  # the number of each key's feature
    vectors: npt.NDArray[np.float32]


def _meanings(words: WordVectors | None, components: int) -> _Meanings:
    """The word vectors' principal components, of mean norm one, under the hashes that the features of a token have: a
    word stands for itself, an ideograph for the pieces of up to three that it begins, ends or is the middle of."""
    if words is None or not words.words:
        return _Meanings(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty((0, components), np.float32))
    import torch

    # By PyTorch, which runs on one thread here: NumPy's BLAS may cut a sum by the number of cores.
    vectors = torch.from_numpy(words.vectors).double()
    axes = torch.linalg.eigh(vectors.T @ vectors).eigenvectors.flip(1)[:, :components]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # either direction would be as good
    narrow = (vectors @ axes).numpy()
    narrow = (narrow / (np.linalg.norm(narrow, axis=1).mean() + 1e-12)).astype(np.float32)
    found: dict[int, tuple[int, int]] = {}
    for i, word in enumerate(words.words):
        pieces = _PIECES.get(len(word), ()) if is_han(word) else (0,)
        for feature in pieces:
            found.setdefault(max(1, _core.murmur3_32(word.encode(), feature)), (feature, i))
    keys = np.array(sorted(found), np.uint32)
    which = np.array([found[int(k)] for k in keys], np.int64).reshape(-1, 2)
    return _Meanings(keys, which[:, 0], narrow[which[:, 1]])


def _rows(hashes: Sequence[npt.NDArray[np.uint32]], keys: npt.NDArray[np.uint32]) -> list[npt.NDArray[np.int64]]:
    """1 + the position among the keys of every feature, or 0."""
    if not len(keys):
        return [np.zeros(h.shape, np.int64) for h in hashes]
    out = []
    for h in hashes:
        at = np.minimum(np.searchsorted(keys, h), len(keys) - 1)
        out.append(np.where(keys[at] == h, at + 1, 0))
    return out


def _net(w: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float32]]:
    """NET_ARRAYS of PyTorch's parameters."""

    def both(kind: str) -> npt.NDArray[np.float32]:
        directions = []
        for suffix in ("", "_reverse"):
            i, f, g, o = np.split(w[f"lstm.{kind}_l0{suffix}"], 4)  # PyTorch's order of gates
            directions.append(np.concatenate([i, o, f, g]))
        return np.stack(directions)

    bias = both("bias_ih") + both("bias_hh")
    return [both("weight_ih"), both("weight_hh"), bias, w["out.weight"], w["out.bias"]]
