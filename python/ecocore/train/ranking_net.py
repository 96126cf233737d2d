"""The deep ranking model: a user tower, an item tower, and a head that is quick enough for hundreds of candidates.

    x_i = [e_i, g v_i, f_i]                     item: id embedding, ALS factors, features
    t_i = relu(T x_i + t)
    p_i = P t_i + P' x_i,  B h_i = B t_i,  b_i = <c, t_i> + bias_i
    x_u = [sum_j H x_j / sqrt(n), sum_j d^age(j) R x_j, g v_u, f_u, log(1 + n) / 5]
    t_u = relu(S x_u + s);  p_u = Q t_u + Q' x_u,  A h_u = A t_u + a
    r_ui = s <v_u, v_i> + <p_u, p_i> + <w, relu(A h_u + B h_i)> + b_i

The relu holds the layer W [h_u; h_i] + b over both towers, W = [A B]: taken apart, its halves are computed once for
each user and item, and only the sum, the relu and the product with w are left for a pair. A linear layer alone could
not tell one user's order of items from another's; the inner products add what few hidden units cannot express. Sigmoid
or softmax of r keeps the order. j runs over what the user has: n items; for the second sum the latest of them, where
the order is known. So a new user needs no training. An item without a past has e_0, the embedding that training puts
in place of dropped ones (after DropoutNet, Volkovs et al., NIPS 2017), and v = 0 unless factors are given.

The inner product of the ALS factors starts at a fixed weight, and all else that tells users apart at zero: with factors
the model starts at the ranking of ALS, and learns what to correct.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..onnx.towers import TowerShape

__all__ = ["RankingNet"]

ALS_WEIGHT = 10.0  # of their inner product at the start: ALS scores reach from 0 to 1, logits further


class RankingNet(nn.Module):
    def __init__(self, shape: TowerShape, dropout: float, factor_scale: float) -> None:
        """``factor_scale``: g above, which brings ALS factors to the size of the other inputs."""
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.factor_scale = factor_scale
        self.identity = nn.Embedding(shape.items, shape.dim)
        nn.init.normal_(self.identity.weight, std=1 / math.sqrt(shape.dim))
        self.bias = nn.Parameter(torch.zeros(shape.items))
        self.history = nn.Linear(shape.item_inputs, shape.dim, bias=False)
        self.recent = nn.Linear(shape.item_inputs, shape.dim, bias=False) if shape.ordered else None
        self.item_hidden = nn.Linear(shape.item_inputs, shape.hidden)
        self.item_query = nn.Linear(shape.hidden, shape.query)
        self.item_skip = nn.Linear(shape.item_inputs, shape.query, bias=False)
        self.item_pairs = nn.Linear(shape.hidden, shape.pairs, bias=False)
        self.item_bias = nn.Linear(shape.hidden, 1, bias=False)
        self.user_hidden = nn.Linear(shape.user_inputs, shape.hidden)
        self.user_query = nn.Linear(shape.hidden, shape.query)
        self.user_skip = nn.Linear(shape.user_inputs, shape.query, bias=False)
        self.user_pairs = nn.Linear(shape.hidden, shape.pairs)
        self.pair_weights = nn.Parameter(torch.zeros(shape.pairs))
        self.log_als_weight = nn.Parameter(torch.tensor(math.log(ALS_WEIGHT))) if shape.factors else None
        for layer in (self.user_query, self.user_skip, self.item_bias):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.user_query.bias)

    def item_inputs(self, rows: Tensor, factors: Tensor, features: Tensor) -> Tensor:
        """x_i [items, inputs] from rows of the id table [items], ALS factors and features [items, n]."""
        return torch.cat([self.identity(rows), factors * self.factor_scale, features], 1)

    def history_vectors(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What an item adds to the history of who has it, [items, dim], and to what is recent."""
        return self.history(x), None if self.recent is None else self.recent(x)

    def item_tower(self, rows: Tensor, factors: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors [items, factors + query], pair units [items, pairs] and biases [items]."""
        x = F.dropout(x, self.dropout / 2, self.training)
        t = F.dropout(F.relu(self.item_hidden(x)), self.dropout, self.training)
        query = self.item_query(t) + self.item_skip(x)
        bias = self.item_bias(t).squeeze(1) + self.bias[rows]
        return torch.cat([factors, query], 1), self.item_pairs(t), bias

    def user_tower(
        self, history: Tensor, recent: Tensor | None, factors: Tensor, features: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vectors [users, factors + query] and pair units [users, pairs]."""
        parts = [history] + ([] if recent is None else [recent])
        x = torch.cat([*parts, factors * self.factor_scale, features, size], 1)
        x = F.dropout(x, self.dropout / 2, self.training)
        t = F.dropout(F.relu(self.user_hidden(x)), self.dropout, self.training)
        query = self.user_query(t) + self.user_skip(x)
        if self.log_als_weight is not None:
            factors = factors * self.log_als_weight.exp()
        return torch.cat([factors, query], 1), self.user_pairs(t)

    def head(self, users: tuple[Tensor, Tensor], items: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Scores [users, items]."""
        scores = users[0] @ items[0].T + items[2]
        for k, weight in enumerate(self.pair_weights):  # a unit at a time: three times as quick as one large tensor
            scores = scores + weight * F.relu(users[1][:, k : k + 1] + items[1][:, k])
        return scores
