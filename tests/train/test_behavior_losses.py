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


def test_a_sequences_own_items_are_candidates_for_certain():
    """Two sequences: 3, 5, 3, unknown, 7 and 9, 5. The first batch row is looked at position by position."""
    items = np.array([[3, 5, 3, 0], [9, 0, 0, 0]])
    targets = np.array([[5, 3, 0, 7], [5, 0, 0, 0]])
    batch = Batch(items, targets, targets > 0, np.array([4, 1]), None, None)
    rows = np.array([0, 2, 3, 5, 7, 9])  # the candidates: 2 (drawn), 3, 5, 7, 9
    chance = torch.tensor([0.2, 0.3, 0.5, 0.7, 0.9])
    columns = torch.from_numpy(np.searchsorted(rows, targets[batch.valid]) - 1)
    expected = [
        [0.2, 1.0, 0.5, 1.0, 0.9],  # after 3 comes 5, not seen before: it keeps its chance
        [0.2, 1.0, 1.0, 1.0, 0.9],  # after 3, 5 comes 3 again
        [0.2, 1.0, 1.0, 0.7, 0.9],  # after 3, 5, 3, unknown comes 7
        [0.2, 0.3, 0.5, 0.7, 1.0],  # after 9 comes 5; 3 and 7 are of the other sequence
    ]
    own = loop._own_included(chance, batch, rows, columns)
    assert own.numpy() == pytest.approx(np.array(expected, np.float32))


def test_corrected_softmax_is_the_truth_where_some_candidates_are_certain():
    """The gradient at the true scores is zero on average: item 0 was seen before, the others are drawn by chance."""
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    chance = [1.0, 0.5, 0.2, 0.7]
    scores = p.log().requires_grad_()
    total = torch.zeros(())
    for target, *drawn in itertools.product(range(4), *[[False, True]] * 3):
        weight = p[target] * math.prod(c if d else 1 - c for c, d in zip(chance[1:], drawn, strict=True))
        kept = [j for j in range(4) if j in (0, target) or drawn[j - 1]]
        inclusion = torch.tensor([chance[j] for j in kept], dtype=torch.float64)
        total = total + weight * sampled_softmax(scores[None, kept], torch.tensor([kept.index(target)]), inclusion)
    total.backward()
    assert scores.grad.numpy() == pytest.approx(np.zeros(4), abs=1e-12)


def test_own_items_for_certain_are_nearer_to_the_truth_than_by_chance():
    """All sequences of three items, 0 first, the others independent: how far the mean gradient at the true scores is
    from zero, with the sequence's own items for certain, and with the chance of a draw for all."""
    p = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    chance = torch.tensor([0.6, 0.5, 0.2, 0.35])
    gradients = []
    for certain in (True, False):
        scores = p.log().requires_grad_()
        total = torch.zeros(())
        for target, later, *drawn in itertools.product(range(4), range(4), *[[False, True]] * 4):
            draws = math.prod(c if d else 1 - c for c, d in zip(chance.tolist(), drawn, strict=True))
            kept = [j for j in range(4) if drawn[j] or j in (0, target, later)]
            # Rows are items plus one: row 0 stands for unknown ones.
            items, targets = np.array([[1, target + 1]]), np.array([[target + 1, later + 1]])
            batch = Batch(items, targets, targets > 0, np.array([2]), None, None)
            columns = torch.tensor([kept.index(target), kept.index(later)])
            inclusion = chance[kept].expand(2, -1)
            if certain:
                inclusion = loop._own_included(chance[kept], batch, np.array([0, *(j + 1 for j in kept)]), columns)
            loss = sampled_softmax(scores[None, kept], columns[:1], inclusion[:1].double())
            total = total + p[target] * p[later] * draws * loss
        total.backward()
        gradients.append(float(scores.grad.abs().sum()))
    assert gradients[0] < 0.5 * gradients[1]
