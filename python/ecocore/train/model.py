"""The recurrent model: tables of items, event types and gaps, a cell, and the query that the items are scored against.

    x_t = item(i_t) + type(e_t) + gap(g_t)
    h_t = cell(x_t, h_(t-1))
    q_t = P h_t + p                       (tied tables; with an output table of its own, q_t = h_t)
    r_tj = <q_t, o_j> + b_j               or, with a scale s, s cos(q_t, o_j)

Tied: o_j is the item's input vector, so that both jobs teach it (Inan, Khosravi and Socher, ICLR 2017; "constrained
embedding" of GRU4Rec, Hidasi and Karatzoglou, CIKM 2018). Scale: inputs and outputs then have unit length, which keeps
popular items from winning by length alone (NISER, Gupta et al., 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CELLS", "BehaviorNet", "Shape"]

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@dataclass(frozen=True)
class Shape:
    """All sizes of a model. Row counts include row 0 (unknown); 0 rows: the model has no such input."""

    cell: str
    items: int
    dim: int
    hidden: int
    layers: int = 1
    event_types: int = 0
    gaps: int = 0
    tied: bool = True
    scale: float | None = None
    item_bias: bool = False
    probability: str = "softmax"  # what the scores are the logits of: "softmax" over items or a "sigmoid" for each

    @property
    def query(self) -> int:
        """Length of the query and of the items' output vectors."""
        return self.dim if self.tied else self.hidden


class BehaviorNet(nn.Module):
    """``items`` (and ``outputs``, ``bias``) are plain tensors, not parameters: training moves only the rows that a
    batch touches, see loop.py.

    ``memory``: where tables are tied, the cell starts as a memory that keeps this share of itself at each event, see
    ``_remember``; ``None``: at random. It is a start, no part of the model's form."""

    def __init__(self, shape: Shape, dropout: float, memory: float | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        bound = 1 / math.sqrt(shape.dim)
        self.items = torch.empty(shape.items, shape.dim).uniform_(-bound, bound)
        self.outputs = self.items
        if not shape.tied:
            bound = 1 / math.sqrt(shape.hidden)
            self.outputs = torch.empty(shape.items, shape.hidden).uniform_(-bound, bound)
        self.bias = torch.zeros(shape.items)
        self.event_types = _table(shape.event_types, shape.dim)
        self.gaps = _table(shape.gaps, shape.dim)
        self.cell = CELLS[shape.cell](
            shape.dim, shape.hidden, shape.layers, batch_first=True, dropout=dropout if shape.layers > 1 else 0.0
        )
        self.project = nn.Linear(shape.hidden, shape.dim) if shape.tied else None
        if memory is not None and self.project is not None:
            _remember(self.cell, self.project, memory, 1.0 if shape.scale is None else GAIN)

    def input_vectors(self, rows: Tensor) -> Tensor:
        """What the cell is given of items with these raw vectors, [..., dim]: of length sqrt(dim) if cosines are taken,
        so that its elements are near 1 in size."""
        return rows if self.shape.scale is None else F.normalize(rows, dim=-1) * math.sqrt(self.shape.dim)

    def output_vectors(self, rows: Tensor) -> Tensor:
        """What the query is multiplied with, [..., query]."""
        return rows if self.shape.scale is None else F.normalize(rows, dim=-1)

    def forward(self, x: Tensor, event_types: Tensor | None, gaps: Tensor | None) -> Tensor:
        """Queries [batch, time, query] from item inputs x [batch, time, dim] and ids [batch, time]."""
        for table, ids in ((self.event_types, event_types), (self.gaps, gaps)):
            if table is not None:
                x = x + table(ids)
        h, _ = self.cell(F.dropout(x, self.dropout, self.training))
        h = F.dropout(h, self.dropout, self.training)
        q = h if self.project is None else self.project(h)
        return q if self.shape.scale is None else F.normalize(q, dim=-1) * self.shape.scale


def _table(rows: int, dim: int) -> nn.Embedding | None:
    """A small table that starts at zero: what its ids add is learned from nothing."""
    if not rows:
        return None
    table = nn.Embedding(rows, dim)
    nn.init.zeros_(table.weight)
    return table


# Where the remembering units start. GAIN: of inputs of size 1, so that tanh is still nearly a straight line.
GAIN = 0.3
OUTPUT_GATE = 2.0  # before the sigmoid: open; the input gate starts half open, at 0
PASSED_ON = 0.05  # upper layers keep next to nothing, so that one memory does not blur another


@torch.no_grad()
def _remember(cell: nn.RNNBase, project: nn.Linear, keep: float, gain: float) -> None:
    """Makes the first units of the cell, one for each element of its input, leaky integrators,

        h_t = keep h_(t-1) + gain' x_t      (nearly: tanh bends it),

    and the projection the identity on them: the query then starts as the mean of the sequence's item vectors, the
    newer ones weighing more, and ranks what was just seen, and what is like it, first. Training goes on from there;
    from random weights a cell finds it hard to learn that sequences come back to their own items. (A recurrent net that
    starts as the identity: Le, Jaitly and Hinton 2015, "IRNN"; gates that start from a span of time: Tallec and
    Ollivier, ICLR 2018.) The other units start as always and add nothing to the query at first.
    """
    hidden = cell.hidden_size
    units = min(cell.input_size, hidden)
    for layer in range(cell.num_layers):
        kept = keep if layer == 0 else PASSED_ON
        logit = math.log(kept / (1 - kept))
        weights = [getattr(cell, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        # Rows of the first units, gate by gate: PyTorch stacks i, f, g, o (LSTM) or r, z, n (GRU).
        w, r, b, c = (list(tensor.view(-1, hidden, *tensor.shape[1:])[:, :units]) for tensor in weights)
        for rows in (*w, *r, *b, *c):
            rows.zero_()
        if isinstance(cell, nn.LSTM):
            candidate = w[2]
            b[1].fill_(logit)
            b[3].fill_(OUTPUT_GATE)
        elif isinstance(cell, nn.GRU):
            candidate = w[2]
            b[1].fill_(logit)
        else:
            candidate = w[0]
            r[0].fill_diagonal_(kept)
        candidate.fill_diagonal_(gain if layer == 0 else 1.0)
    nn.init.eye_(project.weight)
    nn.init.zeros_(project.bias)
