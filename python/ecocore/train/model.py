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
    batch touches, see loop.py."""

    def __init__(self, shape: Shape, dropout: float) -> None:
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
