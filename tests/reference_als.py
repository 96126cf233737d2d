"""Alternating least squares as its formulas are written: dense, float64, one row after the other. Speed is no aim."""

from __future__ import annotations

import numpy as np


def dense(m):
    """Values and pattern of a sparse matrix; a stored zero is part of the pattern."""
    observed = np.zeros(m.shape, bool)
    values = np.zeros(m.shape, np.float64)
    for row in range(m.shape[0]):
        for j in range(m.indptr[row], m.indptr[row + 1]):
            observed[row, m.indices[j]] = True
            values[row, m.indices[j]] = m.data[j]
    return values, observed


def row_equations(values, observed, fixed, regularization, objective, alpha, alpha0, prior):
    """A and b of one row."""
    confidence = np.where(observed, alpha * np.abs(values), 0.0)
    target = np.where(observed & (values > 0), 1.0, 0.0)
    unobserved = np.where(observed, 0.0, 1.0) if objective == "implicit" else np.full(len(fixed), alpha0)
    a = fixed.T @ np.diag(confidence + unobserved) @ fixed + regularization * np.eye(fixed.shape[1])
    b = fixed.T @ (confidence * target) + regularization * prior
    return a, b


def row_regularization(n, n_fixed, regularization, objective, alpha0, exponent):
    return regularization if objective == "implicit" else regularization * (n + alpha0 * n_fixed) ** exponent


def conjugate_gradient(a, b, x, steps):
    r = b - a @ x
    p = r.copy()
    rr = r @ r
    for _ in range(steps):
        if rr < 1e-20:
            break
        length = rr / (p @ a @ p)
        x = x + length * p
        r = r - length * (a @ p)
        p = r + (r @ r) / rr * p
        rr = r @ r
    return x


def half_sweep(m, fixed, start, *, reg, objective, alpha=1.0, alpha0=1.0, exponent=1.0, cg_steps=None, prior=None):
    """New factors of the rows of ``m``; exact, or by ``cg_steps`` steps of conjugate gradient from ``start``."""
    values, observed = dense(m)
    fixed = fixed.astype(np.float64)
    out = np.zeros((m.shape[0], fixed.shape[1]))
    for row in range(m.shape[0]):
        n = int(observed[row].sum())
        if n == 0:
            continue
        regularization = row_regularization(n, len(fixed), reg, objective, alpha0, exponent)
        p = np.zeros(fixed.shape[1]) if prior is None else prior[row].astype(np.float64)
        a, b = row_equations(values[row], observed[row], fixed, regularization, objective, alpha, alpha0, p)
        if cg_steps is None:
            out[row] = np.linalg.solve(a, b)
        else:
            out[row] = conjugate_gradient(a, b, start[row].astype(np.float64), cg_steps)
    return out


def loss(m, users, items, *, reg, objective, alpha=1.0, alpha0=1.0, exponent=1.0):
    """The objective, divided by the sum of all confidences."""
    values, observed = dense(m)
    users, items = users.astype(np.float64), items.astype(np.float64)
    total = weight = 0.0
    for u, x in enumerate(users):
        for i, y in enumerate(items):
            score = x @ y
            confidence = alpha * abs(values[u, i])
            target = 1.0 if observed[u, i] and values[u, i] > 0 else 0.0
            if objective == "implicit":
                c = confidence if observed[u, i] else 1.0
                total += c * (target - score) ** 2
                weight += c
            else:
                total += (confidence * (target - score) ** 2 if observed[u, i] else 0.0) + alpha0 * score**2
                weight += confidence + alpha0
    for side, counts, n_fixed in ((users, observed.sum(1), len(items)), (items, observed.sum(0), len(users))):
        for x, n in zip(side, counts, strict=True):
            total += row_regularization(int(n), n_fixed, reg, objective, alpha0, exponent) * (x @ x)
    return total / weight
