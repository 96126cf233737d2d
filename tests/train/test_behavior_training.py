from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore import BehaviorModel, InvalidArgument
from ecocore.storage import read_folder, write_folder
from ecocore.train import behavior, loop
from ecocore.train.data import Vocabulary
from ecocore.train.model import BehaviorNet, Shape

# Most stop long before a model is good; test_small_logs.py is about that.
pytestmark = pytest.mark.filterwarnings("ignore:the model ranks")

SMALL = {
    "dim": 16,
    "hidden": 16,
    "batch": 16,
    "negatives": 16,
    "learning_rate": 0.02,
    "dropout": 0.0,
    "progress": False,
}


def cycles(n: int, seed: int = 0) -> list[list[int]]:
    """Walks through 30 items, each followed by the next one."""
    random = np.random.default_rng(seed)
    return [((random.integers(30) + np.arange(random.integers(2, 9))) % 30 + 100).tolist() for _ in range(n)]


def echoes(n: int) -> list[list[str]]:
    """Every item after the second is the one two before it: counts of pairs know nothing, memory all."""
    random = np.random.default_rng(0)
    return [[f"item {a}", f"item {b}"] * 3 for a, b in random.integers(0, 12, (n, 2))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru"},
        {"cell": "rnn"},
        {"loss": "bpr_max", "scale": None},
        {"loss": "bce", "scale": None, "tied": False, "negatives": None},
        {"loss": "bce", "scale": None},
        {"layers": 2},
    ],
    ids=str,
)
def test_every_cell_and_loss_learns_who_follows_whom(tmp_path, options):
    report = behavior(cycles(300), out=tmp_path / "m", epochs=12, k=3, patience=12, **{**SMALL, **options})
    assert max(e.mrr for e in report.epochs) > 0.9  # by chance: about 0.06
    assert report.epochs[-1].loss < report.epochs[0].loss


def test_items_that_only_begin_sequences_do_not_disturb(tmp_path):
    """They are candidates because they are in the batch, though never targets."""
    data = [[1000 + i, *walk] for i, walk in enumerate(cycles(300))]
    report = behavior(data, out=tmp_path / "m", epochs=12, k=3, **SMALL)
    assert report.epochs[-1].loss < 2.0  # log(330) = 5.8 for a guess; one in six targets is one
    assert max(e.recall for e in report.epochs) > 0.7  # the first target of each sequence is a guess


def test_memory_is_used_not_only_the_last_item(tmp_path):
    report = behavior(echoes(600), out=tmp_path / "m", epochs=15, k=1, patience=15, **SMALL)
    # 3 of the 5 targets of a sequence can be told from two before; the first is a coin of 12 sides.
    assert max(e.recall for e in report.epochs) > 0.75


def test_types_and_gaps_carry_information(tmp_path):
    """What comes next is told by the event's type alone, or by the gap alone."""
    random = np.random.default_rng(0)
    signs = random.integers(0, 2, (400, 6))
    items = [[1] + [2 + int(s) for s in row[:-1]] for row in signs]
    shuffled = {"validation": 0.2, "k": 1, "epochs": 8, **SMALL}
    plain = behavior(items, out=tmp_path / "a", **shuffled)
    typed = behavior(items, out=tmp_path / "b", event_types=[["ab"[s] for s in r] for r in signs.tolist()], **shuffled)
    gaps = np.where(np.roll(signs, 0, 1), 3600.0, 10.0)
    timed = behavior(items, out=tmp_path / "c", times=np.cumsum(gaps, 1).tolist(), **shuffled)
    best = [max(e.recall for e in r.epochs) for r in (plain, typed, timed)]
    assert best[0] < 0.7
    assert best[1] > 0.95
    assert best[2] > 0.85  # the first event has no gap, so one of five targets stays a coin toss


def arrays(path):
    return {k: np.array(v) for k, v in read_folder(path, "behavior")[1].items()}


def test_a_seed_gives_the_same_model_and_leaves_the_callers_random_numbers(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    options = {**SMALL, "dropout": 0.3, "epochs": 2}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        behavior(cycles(100), out=tmp_path / name, seed=seed, **options)
    assert torch.rand(1) == expected
    a, b, c = (arrays(tmp_path / name) for name in "abc")
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert not np.array_equal(a["item_vectors"], c["item_vectors"])


def test_the_best_epoch_is_kept_and_training_stops(tmp_path):
    random = np.random.default_rng(0)  # noise: what is learned does not help
    noise = [random.integers(0, 40, 6).tolist() for _ in range(60)]
    options = {**SMALL, "epochs": 40, "patience": 2, "k": 5}
    report = behavior(noise, out=tmp_path / "m", **options)
    mrr = [e.mrr for e in report.epochs]
    assert report.best_epoch == int(np.argmax(mrr)) + 1
    assert len(mrr) == report.best_epoch + 2 < 40
    # The weights are those of that epoch: the model trained for only so long scores the same.
    meta, saved = read_folder(tmp_path / "m", "behavior")
    assert meta["training"]["best_epoch"] == report.best_epoch
    assert saved["item_vectors"].shape == (41, 16)


def test_ctrl_c_keeps_the_best_so_far(tmp_path, monkeypatch):
    whole = behavior(cycles(100), out=tmp_path / "whole", epochs=3, validation=None, **SMALL)
    calls, step = [], loop._step

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(loop, "_step", interrupted)
    report = behavior(cycles(100), out=tmp_path / "cut", epochs=3, validation=0.1, **SMALL)
    assert report.interrupted
    assert not whole.interrupted
    assert len(report.epochs) == report.best_epoch == 1
    assert np.isfinite(arrays(tmp_path / "cut")["item_vectors"]).all()


def test_ctrl_c_in_the_first_epoch_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    behavior(cycles(100), out=tmp_path / "m", epochs=1, validation=None, **SMALL)
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_step", interrupted)
    for out in ("m", "new"):
        with pytest.raises(KeyboardInterrupt):
            behavior(cycles(100), out=tmp_path / out, epochs=3, **SMALL)
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_a_net_of_nan_ranks_everything_last():
    data = Vocabulary.of(cycles(50), None, 1).encode(cycles(50))[0]
    net = BehaviorNet(Shape("lstm", items=31, dim=8, hidden=8), 0.0, None)
    assert (loop.rank(net, data) <= 30).any()
    net.items.fill_(float("nan"))
    for filter_seen in (False, True):
        assert (loop.rank(net, data, filter_seen=filter_seen) > 30).all()


@pytest.mark.parametrize("validation", [None, 0.1])
def test_a_loss_that_is_not_finite_ends_the_training(tmp_path, monkeypatch, validation):
    step, calls = loop._step, []

    def diverging(*args):
        calls.append(1)
        return float("nan") if len(calls) > first else step(*args)

    monkeypatch.setattr(loop, "_step", diverging)
    first = 3
    with pytest.raises(InvalidArgument, match=r"learning_rate: training diverged \(the loss in epoch 1 is nan\)"):
        behavior(cycles(100), out=tmp_path / "m", epochs=4, validation=validation, **SMALL)
    assert not (tmp_path / "m").exists()
    assert len(calls) == 4
    calls.clear()
    first = 10  # in the second epoch
    if validation is None:
        with pytest.raises(InvalidArgument, match="the loss in epoch 2 is nan"):
            behavior(cycles(100), out=tmp_path / "m", epochs=4, validation=validation, **SMALL)
    else:
        report = behavior(cycles(100), out=tmp_path / "m", epochs=4, validation=validation, **SMALL)
        assert (len(report.epochs), report.best_epoch) == (1, 1)


def test_weights_that_are_not_finite_are_not_written(tmp_path, monkeypatch):
    def poisoned(net, *args):
        found = loop.fit(net, *args)
        net.items[3] = float("inf")
        return found

    monkeypatch.setitem(behavior.__globals__, "fit", poisoned)
    with pytest.raises(InvalidArgument, match="_vectors has numbers that are not finite; nothing was written"):
        behavior(cycles(100), out=tmp_path / "m", epochs=1, validation=None, **SMALL)
    assert not (tmp_path / "m").exists()


def test_unknown_items_are_learned_from_dropped_ones_and_counted(tmp_path):
    data = [*cycles(200), [7, 100, 101], [8, 100]]
    report = behavior(data, out=tmp_path / "m", epochs=2, min_count=2, item_dropout=0.2, **SMALL)
    assert report.unknown_events == 2
    assert report.items == 30
    saved = arrays(tmp_path / "m")
    assert (saved["item_vectors"][0] == 0).all()
    assert (saved["input_vectors"][0] != 0).any()


def test_held_out_last_events_and_own_sequences(tmp_path):
    data = cycles(200)
    last = behavior(data, out=tmp_path / "a", epochs=6, validation="last", filter_seen=True, k=1, **SMALL)
    assert last.held_out_events == len(data)
    own = behavior(data, out=tmp_path / "b", epochs=6, validation=cycles(20, seed=3), k=1, **SMALL)
    assert max(e.recall for e in last.epochs) > 0.9
    assert max(e.recall for e in own.epochs) > 0.9


@pytest.mark.parametrize("validation", [None, 0.2, "last", [[100, 101, 102]]], ids=str)
def test_the_events_of_training_are_counted(tmp_path, validation):
    """Those held out are not; an event that two windows share is one; what is out of vocabulary is in row 0."""
    data = [*cycles(50), list(range(100, 112)) * 3, [7, 100, 101], [129, 100]]
    options = {"validation": validation, "min_count": 2, "max_length": 5, "epochs": 1, **SMALL}
    behavior(data, out=tmp_path / "m", **options)
    training = {"0.2": data[:-11], "last": [s[:-1] for s in data]}.get(str(validation), data)
    events = np.concatenate([np.array(s) for s in training])
    wanted = [int((events < 100).sum()), *np.bincount(events[events >= 100] - 100, minlength=30)]
    counts = arrays(tmp_path / "m")["item_counts"]
    assert counts.dtype == np.int64
    assert counts.tolist() == wanted
    model = BehaviorModel.load(tmp_path / "m", "cpu")
    assert model.recommend([[]], 30).ids[0].tolist() == (100 + np.argsort(-counts[1:], kind="stable")).tolist()


def test_a_very_long_sequence_is_cut(tmp_path):
    long = (np.arange(50_000) % 30).astype(np.int64)
    report = behavior([long], out=tmp_path / "m", epochs=1, validation=None, max_length=25, **SMALL)
    assert report.events == 50_000


def test_the_report_can_be_read(tmp_path):
    report = behavior(cycles(60), out=tmp_path / "m", epochs=3, **SMALL)
    assert json.loads(json.dumps(report.to_dict()))["epochs"][0]["epoch"] == 1
    curves = ET.fromstring((tmp_path / "m" / "training.svg").read_text()).findall("{*}polyline")
    assert [len(c.attrib["points"].split()) for c in curves] == [3, 3, 3]
    assert "60 sequences" in str(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "transformer"}, "cell: expected 'lstm' or 'gru' or 'rnn'"),
        ({"loss": "mse"}, "loss"),
        ({"dim": 0}, "dim"),
        ({"epochs": 1.5}, "epochs"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"scale": -1.0}, "scale"),
        ({"negatives": -1}, "negatives"),
        ({"validation": 1.0}, "validation"),
        ({"validation": "first"}, "validation"),
        ({"validation": [[100]]}, "validation"),
        ({"min_count": 10**6}, "min_count"),
    ],
)
def test_bad_options_are_refused_by_name(tmp_path, options, message):
    with pytest.raises(InvalidArgument, match=message):
        behavior(cycles(20), out=tmp_path / "m", **{**SMALL, **options})
    assert not (tmp_path / "m").exists()


def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    write_folder(tmp_path / "other", "ranking", {}, {})

    def work(*_):
        raise AssertionError("trained in vain")

    monkeypatch.setattr(loop, "_step", work)
    for name, message in (("file", "is a file"), ("other", "holds a model of kind 'ranking'")):
        with pytest.raises(InvalidArgument, match=f"path: .*{message}"):
            behavior(cycles(20), out=tmp_path / name, epochs=1, **SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {"validation": [[8, 9]]},
        {"validation": [[100, 9], [101]]},
        {"validation": 0.01, "sequences": [*cycles(40), [100, 7]], "min_count": 2},
        {"validation": "last", "sequences": [[100, 101, 100 + i] for i in range(2, 9)], "min_count": 2},
    ],
    ids=["unknown", "only the first is known", "share", "last"],
)
def test_validation_without_a_known_next_item_is_refused_before_the_work(tmp_path, options):
    with pytest.raises(InvalidArgument, match=r"validation: expected a held-out sequence in which .* got none"):
        behavior(**{"sequences": cycles(20), "out": tmp_path / "m", "epochs": 1, **SMALL, **options})
    assert not (tmp_path / "m").exists()


def test_training_without_a_known_next_item_is_refused(tmp_path):
    rare = [[i % 2, 10 + i] for i in range(8)]  # 0 and 1 are known and only ever come first
    with pytest.raises(InvalidArgument, match=r"sequences: .* nothing to predict"):
        behavior(rare, out=tmp_path / "m", min_count=2, validation=None, **SMALL)


def test_sequences_without_a_next_item_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="two events"):
        behavior([[1], [2], []], out=tmp_path / "m", validation=None, **SMALL)
