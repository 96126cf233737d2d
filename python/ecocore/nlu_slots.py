"""Values in a text: found by rules and lookup lists, tagged by a small recurrent network, and settled where they
overlap."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import FormatError
from .nlu_types import Slot

__all__ = ["NET_ARRAYS", "Find", "Tagger", "hints", "settle"]

Float = npt.NDArray[np.float32]

#: The arrays of the network, float32, see cpp/include/ecocore/tagger_net.hpp: W [2, 4 hidden, width], R [2, 4 hidden,
#: hidden] and their bias [2, 4 hidden] in ONNX's order of gates, i, o, f, c; from the states to tags [tags, 2 hidden],
#: and the bias [tags].
NET_ARRAYS = ("tagger_input", "tagger_recurrent", "tagger_bias", "tagger_output", "tagger_output_bias")

_WINDOW = 1_024  # tokens in one run of the network: memory stays bounded, however long a message is
_BATCH_TOKENS = 4_096  # of the texts of one length that run together


class Find(NamedTuple):
    """A slot before it is settled; ``value`` is empty where the text itself is the value."""

    start: int
    end: int
    name: str
    value: str
    source: str
    score: float


class Tagger:
    """The network with its table of token vectors; safe to share between threads."""

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.slots: list[str] = [str(name) for name in meta["slots"]]
        self._table = _core.TokenTable(arrays["token_keys"], arrays["token_codes"], arrays["token_scales"])
        self._net = _core.TaggerNet(*(arrays[name] for name in NET_ARRAYS))
        width, tags = arrays["token_codes"].shape[1], 1 + 2 * len(self.slots)
        if (self._net.width, self._net.tags) != (width, tags):
            raise FormatError(
                f"the NLU model's tagger takes {self._net.width} columns and gives {self._net.tags} tags; expected"
                f" {width}, as its token vectors have, and {tags} for {len(self.slots)} slots; train it again"
            )

    def tag(self, prepared: _core.PreparedText, found: Sequence[Find]) -> list[Find]:
        """The slots of one text, told what rules and lookup lists found in it (by position)."""
        tokens = prepared.tokens
        return self._tag([prepared], [found], [tokens])[0] if tokens else []

    def tag_many(
        self, prepared: Sequence[_core.PreparedText], found: Sequence[Sequence[Find]], num_threads: int = 1
    ) -> list[list[Find]]:
        """:meth:`tag` of every text; those with the same number of tokens run together."""
        out: list[list[Find]] = [[] for _ in prepared]
        tokens = [p.tokens for p in prepared]
        groups: dict[int, list[int]] = {}
        for i, t in enumerate(tokens):
            if t:
                groups.setdefault(len(t), []).append(i)
        for length, members in groups.items():
            step = max(1, _BATCH_TOKENS // length)
            for first in range(0, len(members), step):
                some = members[first : first + step]
                tagged = self._tag(
                    [prepared[i] for i in some], [found[i] for i in some], [tokens[i] for i in some], num_threads
                )
                for i, spans in zip(some, tagged, strict=True):
                    out[i] = spans
        return out

    def _tag(
        self,
        prepared: list[_core.PreparedText],
        found: Sequence[Sequence[Find]],
        tokens: Sequence[Sequence[tuple[int, int]]],
        num_threads: int = 1,
    ) -> list[list[Find]]:
        vectors = self._table.vectors(prepared, [hints(f) for f in found])
        names = self.slots
        return [
            [
                Find(own[a][0], own[b - 1][1], names[slot], "", "model", math.exp(log_chance))
                for slot, a, b, log_chance in spans
            ]
            for own, spans in zip(tokens, _core.decode_bio(self._emissions(vectors, num_threads)), strict=True)
        ]

    def _emissions(self, vectors: Float, num_threads: int = 1) -> Float:
        """Log-probabilities of the BIO tags, [texts, tokens, 1 + 2 slots], of [texts, tokens, width]."""
        if vectors.shape[1] <= _WINDOW:
            return self._net.emissions(vectors, num_threads)
        parts = (vectors[:, i : i + _WINDOW] for i in range(0, vectors.shape[1], _WINDOW))
        return np.concatenate([self._net.emissions(np.ascontiguousarray(p), num_threads) for p in parts], axis=1)


def hints(found: Sequence[Find]) -> list[tuple[int, int, int]]:
    """What rules and lookup lists found, as the tagger reads it: names stand as their hash."""
    return [(f.start, f.end, _core.murmur3_32(f.name.encode(), 0)) for f in found]


def settle(text: str, found: Sequence[Find], tagged: Sequence[Find]) -> tuple[Slot, ...]:
    """One list without overlaps: the best score wins, then the longer, then the earlier. A find that the model confirms
    in name and place is kept once, with the better score and what the list says it stands for."""
    if not found and not tagged:
        return ()
    starts: list[int] = []
    kept: list[Find] = []
    for f in sorted([*tagged, *found], key=lambda f: (-f.score, f.start - f.end, f.start, f.source != "lookup")):
        at = bisect_left(starts, f.start)
        if (at == 0 or kept[at - 1].end <= f.start) and (at == len(starts) or f.end <= starts[at]):
            starts.insert(at, f.start)
            kept.insert(at, f)
    values = {(f.name, f.start, f.end): f.value for f in found if f.value}
    return tuple(
        [
            Slot(
                f.name, values.get((f.name, f.start, f.end)) or text[f.start : f.end], f.start, f.end, f.source, f.score
            )
            for f in kept
        ]
    )
