"""Where the weights start: the query is the mean of the sequence's items, the newer ones weighing more."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore import InvalidArgument
from ecocore.train import behavior
from ecocore.train.model import BehaviorNet, Shape

KEEP = 0.7


def queries(memory: float | None, scale: float | None = 12.0, **sizes) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Of 40 random sequences: the queries, the decayed means of the items' vectors, and the cosines of the two."""
    torch.manual_seed(0)
    net = BehaviorNet(Shape(items=200, dim=32, scale=scale, **sizes), 0.2, memory).eval()
    ids = torch.randint(1, 200, (40, 6))
    x = net.input_vectors(net.items[ids])
    with torch.no_grad():
        q = net(x, None, None)[:, -1]
    mean = (x * KEEP ** torch.arange(5, -1, -1)[:, None]).sum(1)
    return q, net.output_vectors(net.items), torch.nn.functional.cosine_similarity(q, mean).numpy()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("scale", [12.0, None])
@pytest.mark.parametrize("sizes", [{"hidden": 32}, {"hidden": 80}, {"hidden": 48, "layers": 2}], ids=str)
def test_the_query_starts_as_the_decayed_mean_of_the_items(cell, scale, sizes):
    assert queries(KEEP, scale, cell=cell, **sizes)[2].min() > 0.95
    assert abs(queries(None, scale, cell=cell, **sizes)[2]).mean() < 0.5  # and not by itself


def test_the_last_item_ranks_first_before_any_training():
    torch.manual_seed(0)
    net = BehaviorNet(Shape(cell="lstm", items=200, dim=32, hidden=64, scale=12.0), 0.2, KEEP).eval()
    ids = torch.randint(1, 200, (40, 4))
    with torch.no_grad():
        scores = net(net.input_vectors(net.items[ids]), None, None)[:, -1] @ net.output_vectors(net.items).T
    assert (scores.argmax(1) == ids[:, -1]).float().mean() > 0.9


def test_fewer_units_than_elements_remember_a_part():
    assert queries(KEEP, cell="lstm", hidden=16)[2].mean() > 0.5


def test_untied_tables_start_as_ever():
    """Their query is of another space than the inputs: nothing to remember for."""
    a, b = (queries(memory, None, cell="lstm", hidden=32, tied=False)[0] for memory in (KEEP, None))
    assert torch.equal(a, b)


def test_memory_finds_what_comes_again(tmp_path):
    """Each sequence repeats a few items of many: one epoch does with a memory what it does not from random weights."""
    random = np.random.default_rng(0)
    data = [random.permutation(np.tile(random.integers(0, 300, 2), 3)).tolist() for _ in range(300)]
    options = {"dim": 64, "hidden": 64, "batch": 32, "negatives": 64, "k": 2, "epochs": 1, "progress": False}
    with_memory, without = (
        behavior(data, out=tmp_path / str(memory), memory=memory, **options).epochs[0].recall for memory in (0.8, None)
    )
    assert with_memory > 0.6
    assert without < 0.3


@pytest.mark.parametrize("memory", [0.0, 1.0, -0.5, float("nan"), "yes"])
def test_a_share_that_is_none_is_refused(tmp_path, memory):
    with pytest.raises(InvalidArgument, match="memory"):
        behavior([[1, 2], [2, 1]], out=tmp_path / "m", memory=memory, progress=False)
