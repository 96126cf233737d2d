"""``ecocore train-behavior``: from a log, and from text with one session a line, to a model that is served."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install 'ecocore[train]'")

from ecocore import BehaviorModel, SessionStore, read_events
from ecocore.cli import main
from ecocore.event_sequences import event_sequences

# Most stop long before a model is good; test_small_logs.py is about that.
pytestmark = pytest.mark.filterwarnings("ignore:the model ranks")

SMALL = ["--hidden", "8", "--epochs", "2"]


def chains(rng: np.random.Generator, n: int = 120) -> list[list[int]]:
    """Sessions that walk up a ring of 12 items, so that the next one can be learned."""
    return [[(start + i) % 12 for i in range(rng.integers(3, 8))] for start in rng.integers(0, 12, n)]


def test_from_text(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sessions.txt"
    path.write_text("\n".join(" ".join(f"i{x}" for x in s) for s in chains(np.random.default_rng(0))) + "\n\n")
    assert main(["train-behavior", str(path), *SMALL, "--out", str(tmp_path / "model")]) == 0
    assert "120 sequences" in capsys.readouterr().out
    found = BehaviorModel.load(tmp_path / "model").recommend([["i1", "i2"]], k=3)
    assert set(np.ravel(found.ids)) <= {f"i{x}" for x in range(12)}


def test_who_is_new_gets_what_came_most(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    sessions = [[f"i{x}" for x in s] for s in chains(np.random.default_rng(0))]
    path = tmp_path / "sessions.txt"
    path.write_text("\n".join(map(" ".join, sessions)))
    assert main(["train-behavior", str(path), *SMALL, "--out", str(tmp_path / "model")]) == 0
    model = BehaviorModel.load(tmp_path / "model")
    came = Counter(x for s in sessions[:-6] for x in s)  # the last 5 % are held out
    wanted = sorted(model.items.to_array(), key=lambda x: (-came[x], model.items.code(x)))
    assert SessionStore(model).recommend("new", k=12).ids.tolist() == wanted
    share = came["i3"] / came.total()
    np.testing.assert_allclose(model.probabilities([[]])[0, model.items.code("i3")], share, rtol=1e-6)
    capsys.readouterr()
    assert main(["info", str(tmp_path / "model")]) == 0
    assert "item_counts: int64 (13,)" in capsys.readouterr().out


def test_from_a_log_in_the_order_of_time(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    rows = [
        f"u{u:03},{item},2024-01-01 {u % 24:02}:{step:02}:00,view"
        for u, session in enumerate(chains(rng))
        for step, item in enumerate(session)
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,when,kind", *rng.permutation(rows)]) + "\n")
    with read_events(path, time="when", event="kind") as events:
        found = event_sequences(events)
    assert list(found.users.to_array()) == sorted({row.split(",")[0] for row in rows})
    for user, items, times in zip(found.users.to_array(), found.items, found.times, strict=True):
        want = [int(row.split(",")[1]) for row in rows if row.startswith(user + ",")]
        assert items.tolist() == want
        assert (np.diff(times) > 0).all()
    assert found.event_types is not None
    assert {kind for kinds in found.event_types for kind in kinds} == {"view"}
    columns = ["--user", "user", "--item", "item", "--time", "when", "--event", "kind"]
    assert main(["train-behavior", str(path), *columns, *SMALL, "--out", str(tmp_path / "model")]) == 0
    model = BehaviorModel.load(tmp_path / "model")
    assert np.shape(model.recommend([[3, 4]], k=2, event_types=[["view", "view"]]).ids) == (1, 2)


def test_a_log_too_short_to_hold_out_is_learned_whole(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sessions.txt"
    path.write_text("a b c\nb c a\nd\n")
    command = ["train-behavior", str(path), *SMALL, "--out", str(tmp_path / "model")]
    assert main(command) == 2
    assert "--validation: expected a held-out sequence" in capsys.readouterr().err
    assert main([*command, "--validation", "0"]) == 0
    assert BehaviorModel.load(tmp_path / "model").recommend([["a"]], k=2).ids.shape == (1, 2)
    assert main([*command, "--validation", "0.6"]) == 0  # two of three


@pytest.mark.parametrize("option", [["--validation", "1"], ["--validation", "nan"], ["--seed", "-1"]], ids=str)
def test_options_are_checked_before_anything_is_read(tmp_path, capsys: pytest.CaptureFixture[str], option) -> None:
    with pytest.raises(SystemExit) as e:
        main(["train-behavior", str(tmp_path / "absent"), "--out", str(tmp_path / "model"), *option])
    assert e.value.code == 2
    assert f"argument {option[0]}: expected a" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [["--user", "u", "--item", "i"], ["--event", "e"]], ids=str)
def test_a_log_without_time_is_refused_before_it_is_read(tmp_path, capsys, columns) -> None:
    assert main(["train-behavior", str(tmp_path / "absent.csv"), *columns, "--out", str(tmp_path / "model")]) == 2
    assert "--time: expected the column that orders the log" in capsys.readouterr().err


def test_a_log_without_column_names_is_told_from_text(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text("user,item\na,b\n")
    assert main(["train-behavior", str(tmp_path / "log.csv"), "--out", str(tmp_path / "m")]) == 2
    assert "name its columns" in capsys.readouterr().err


def test_options_that_would_do_nothing_are_refused(tmp_path, capsys):
    (tmp_path / "sessions.txt").write_text("a b c\n" * 20)
    options = ["--out", str(tmp_path / "out")]
    for option in (["--strict"], ["--keep-free"], ["--drop", "item=C*"]):
        assert main(["train-behavior", str(tmp_path / "sessions.txt"), *option, *options]) == 2
        assert f"{option[0]}: cleans an event log" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train-behavior", str(tmp_path / "sessions.txt"), "--min-user-items", "2", *options])
