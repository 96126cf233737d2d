"""Small logs make few steps an epoch: the defaults train for long enough, and who stops too early is told."""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
pytest.importorskip("onnx", reason="the extra 'train' is not installed (no onnx)")

from ecocore import BehaviorModel
from ecocore.cli import main
from ecocore.storage import read_folder
from ecocore.train import behavior, behavior_model
from ecocore.train.data import Vocabulary
from ecocore.train.loop import rank_by_popularity

ITEMS = 40


pytestmark = pytest.mark.usefixtures("one_thread")


def walks(n: int, seed: int) -> list[list[int]]:
    """Of 2 to 9 items, four of five the one that the item before says, else any; none twice in a row."""
    random, out = np.random.default_rng(seed), []
    for _ in range(n):
        row = [int(random.integers(ITEMS))]
        for _ in range(random.integers(1, 9)):
            follower = (row[-1] * 7 + 3) % ITEMS
            others = [i for i in range(ITEMS) if i != row[-1]]
            row.append(follower if follower != row[-1] and random.random() < 0.8 else int(random.choice(others)))
        out.append(row)
    return out


def skewed(n: int, seed: int) -> list[list[int]]:
    """Items of unequal popularity, none twice in a row: nothing but that can be learned."""
    random, out = np.random.default_rng(seed), []
    for _ in range(n):
        drawn = np.minimum(random.geometric(0.2, 12) - 1, ITEMS - 1).tolist()
        row = [a for a, b in zip(drawn, [None, *drawn[:-1]], strict=True) if a != b]
        out.append(row)
    return out


@pytest.mark.parametrize("n", [100, 600])
def test_by_default_a_small_log_is_learned(tmp_path, n):
    """In 10 epochs MRR is .13 and .28, and the item seen last is ranked first in 5 of 6 cases. Of 100 sequences 5 are
    held out: an epoch of one step after the other may look no better."""
    behavior(walks(n, seed=0), out=tmp_path / "m", progress=False)
    model = BehaviorModel.load(tmp_path / "m", "cpu", engine="native")
    test = [row[: i + 1] for row in walks(100, seed=1) for i in range(1, len(row))]
    found = np.asarray(model.recommend([row[:-1] for row in test], k=20).ids)
    hits = found == np.array([row[-1] for row in test])[:, None]
    assert (hits / np.arange(1, 21)).sum(axis=1).mean() > 0.6  # with the true probabilities: about .82
    assert np.mean(found[:, 0] == [row[-2] for row in test]) < 0.1


@pytest.mark.parametrize(
    ("n", "options", "epochs", "patience"),
    [
        (100, {}, 150, 50),
        (600, {}, 50, 17),
        (5000, {}, 10, 3),
        (600, {"batch": 16}, 10, 3),
        (600, {"epochs": 10}, 10, 17),
        (600, {"patience": 3}, 50, 3),
        (600, {"epochs": 200, "patience": 1}, 200, 1),
    ],
    ids=str,
)
def test_what_is_not_said_comes_from_the_steps_of_an_epoch(tmp_path, monkeypatch, n, options, epochs, patience):
    class Planned(Exception):
        pass

    def fit(net, training, held_out, plan):
        raise Planned(plan)

    monkeypatch.setattr(behavior_model, "fit", fit)
    with pytest.raises(Planned) as e:
        behavior([[1, 2, 3]] * n, out=tmp_path / "m", dim=4, hidden=4, **options)
    plan = e.value.args[0]
    assert (plan.epochs, plan.patience) == (epochs, patience)


def places_by_popularity(counts, rows, last_only, filter_seen):
    """Ranks of the held-out items, one by one; ``counts`` by item, ties in the order of the table."""
    order, out = sorted(counts, key=lambda i: -counts[i]), []
    for row in rows:
        for t in [len(row) - 1] if last_only else range(1, len(row)):
            left = [i for i in order if i == row[t] or not filter_seen or i not in row[:t]]
            out.append(left.index(row[t]) + 1)
    return sorted(out)


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("filter_seen", [False, True])
def test_ranks_by_popularity(last_only, filter_seen):
    training, held_out = skewed(60, seed=0), skewed(20, seed=1)
    vocabulary = Vocabulary.of([*training, *held_out], None, 1)
    names = vocabulary.items.to_array().tolist()
    events = vocabulary.encode(training)[0]
    counts = events.item_counts(len(names) + 1)
    got = rank_by_popularity(counts, vocabulary.encode(held_out)[0], last_only=last_only, filter_seen=filter_seen)
    assert len(set(counts[1:].tolist())) < len(names)  # there are ties
    by_name = {name: sum(row.count(name) for row in training) for name in names}
    assert sorted(got.tolist()) == places_by_popularity(by_name, held_out, last_only, filter_seen)


def test_a_model_worse_than_popularity_is_saved_with_a_warning(tmp_path):
    training = skewed(200, seed=0)
    known = {i for row in training for i in row}
    held_out = [row for row in skewed(50, seed=1) if known.issuperset(row)]
    with pytest.warns(UserWarning, match="held-out events worse .* more epochs, try memory=None, or give") as caught:
        report = behavior(training, out=tmp_path / "m", validation=held_out, epochs=1, progress=False)
    found = re.search(r"the (\d+) held.*MRR@20 ([.\d]+)\).*MRR@20 ([.\d]+)\)", str(caught[0].message))
    assert found is not None
    table = BehaviorModel.load(tmp_path / "m", "cpu", engine="native").items.to_array().tolist()
    counts = {i: sum(row.count(i) for row in training) for i in table}
    ranks = np.array(places_by_popularity(counts, held_out, False, False))
    assert int(found[1]) == ranks.size
    assert float(found[2]) == pytest.approx(report.epochs[0].mrr, abs=1e-4)
    assert float(found[3]) == pytest.approx(np.where(ranks <= 20, 1 / ranks, 0).mean(), abs=1e-4)
    assert float(found[2]) < float(found[3])


def test_the_command_takes_the_same_default_and_says_what_recall_is_at(tmp_path, capsys):
    path = tmp_path / "sessions.txt"
    path.write_text("\n".join(" ".join(map(str, row)) for row in walks(200, seed=0)))
    assert main(["train-behavior", str(path), "--hidden", "16", "--out", str(tmp_path / "m")]) == 0
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert re.search(r"recall@20 [.\d]+  MRR@20 [.\d]+", text)
    assert len(read_folder(tmp_path / "m", "behavior")[0]["training"]["epochs"]) > 10
    with pytest.raises(SystemExit):
        main(["train-behavior", "--help"])
    assert "10, or as many as make 150 steps" in " ".join(capsys.readouterr().out.split())
