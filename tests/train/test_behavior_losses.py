from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore.train import loop
from ecocore.train.data import Batch
from ecocore.train.losses import BPR_MAX_REGULARISATION, bce, bpr_max, sampled_softmax


@pytest.fixture
def scores():
    return torch.from_numpy(np.random.default_rng(0).normal(size=(4, 6)))


TARGETS = torch.tensor([2, 0, 5, 2])
ALL = torch.ones(6, dtype=torch.float64)


def test_softmax_over_all_items_is_cross_entropy(scores):
    p = scores.softmax(1)[range(4), TARGETS]
    assert sampled_softmax(scores, TARGETS, ALL).item() == pytest.approx(-p.log().mean().item())


def test_softmax_discounts_items_that_are_drawn_often(scores):
    inclusion = torch.tensor([1.0, 1.0, 1.0, 0.5, 1.0, 1.0], dtype=torch.float64)
    weights = scores.exp() / inclusion
    expected = -(weights[range(4), TARGETS] / weights.sum(1)).log().mean()
    assert sampled_softmax(scores, TARGETS, inclusion).item() == pytest.approx(expected.item())


def test_bce_over_all_items_is_one_sigmoid_for_each(scores):
    labels = torch.nn.functional.one_hot(TARGETS, 6).double()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(1).mean()
    assert bce(scores, TARGETS, ALL).item() == pytest.approx(expected.item())


def test_bce_of_samples_is_right_on_average(scores):
    """Over all subsets of the items that are not targets, each with its probability."""
    row, target = scores[:1], TARGETS[:1]
    inclusion = torch.tensor([0.3, 0.6, 1.0, 0.9, 0.2, 0.5], dtype=torch.float64)
    mean = 0.0
    for chosen in itertools.product([False, True], repeat=6):
        keep = torch.tensor(chosen)
        if keep[target]:
            p = torch.where(keep, inclusion, 1 - inclusion).prod().item()
            column = keep[: int(target)].sum()[None]
            mean += p * bce(row[:, keep], column, inclusion[keep]).item()
    assert mean == pytest.approx(bce(row, target, ALL).item())


def test_bpr_max_is_the_formula(scores):
    total = 0.0
    for r, t in zip(scores.tolist(), TARGETS.tolist(), strict=True):
        negatives = [x for j, x in enumerate(r) if j != t]
        norm = sum(math.exp(x) for x in negatives)
        s = [math.exp(x) / norm for x in negatives]
        better = sum(w / (1 + math.exp(x - r[t])) for w, x in zip(s, negatives, strict=True))
        size = sum(w * x * x for w, x in zip(s, negatives, strict=True))
        total += -math.log(better) + BPR_MAX_REGULARISATION * size
    assert bpr_max(scores, TARGETS, ALL).item() == pytest.approx(total / 4)


def test_inclusion_is_how_often_an_item_is_in_the_set():
    random = np.random.default_rng(0)
    counts = np.array([0, 100, 50, 10, 5, 1, 0])
    sampler = loop._Sampler(counts, 0.5, 4)
    hits, trials = np.zeros(counts.size), 4000  # the batch: three events
    for _ in range(trials):
        targets = random.choice(counts.size, 3, p=counts / counts.sum())[None]
        batch = Batch(np.zeros_like(targets), targets, targets > 0, np.array([3]), None, None)
        hits[sampler.rows_of(batch, random)] += 1
    assert hits[0] == trials  # row 0 always
    assert hits[6] == 0
    assert hits[1:6] / trials == pytest.approx(sampler.inclusion(np.arange(1, 6), 3).numpy(), abs=0.03)


def test_sparse_adam_is_pytorchs():
    random = np.random.default_rng(0)
    start = torch.from_numpy(random.normal(size=(5, 3)))
    embedding = torch.nn.Embedding.from_pretrained(start.clone(), freeze=False, sparse=True)
    reference = torch.optim.SparseAdam(embedding.parameters(), lr=0.1)
    table = loop._Rows(start.clone())
    for step in range(1, 8):
        rows = torch.from_numpy(np.unique(random.integers(0, 5, 3)))
        target = torch.from_numpy(random.normal(size=(rows.numel(), 3)))
        reference.zero_grad()
        (embedding(rows) * target).sum().backward()
        reference.step()
        taken = table.take(rows)
        (taken * target).sum().backward()
        table.step(rows, taken, 0.1, step)
    assert table.table.numpy() == pytest.approx(embedding.weight.detach().numpy(), abs=1e-6)
