"""``ecocore train-nlu``: what cannot be written is refused before the work."""

from __future__ import annotations

import pytest

for _package in ("torch", "onnx"):
    pytest.importorskip(_package, reason="training needs the extra 'train'")

from ecocore import NLU, InvalidArgument, train
from ecocore.cli import main
from ecocore.train import nlu_model

CSV = "text,intent\n" + "".join(f"where is {x},track\nrefund {x},refund\n" for x in "abcdefgh")


def test_trains_from_a_file(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    assert main(["train-nlu", str(tmp_path / "a.csv"), "--out", str(tmp_path / "m"), "--encoder", "none"]) == 0
    assert "intent accuracy in scope" in capsys.readouterr().out
    assert NLU.load(tmp_path / "m").parse("where is x").intent == "track"


def test_a_bad_target_is_refused_before_the_work(tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "something.txt").write_text("mine")

    def no_work(*_: object, **__: object) -> None:
        raise AssertionError("worked before looking at --out")

    monkeypatch.setattr(train, "read_nlu_examples", no_work, raising=False)
    monkeypatch.setattr(nlu_model, "fit_intents", no_work)
    assert main(["train-nlu", str(tmp_path / "a.csv"), "--out", str(taken)]) == 2
    assert "taken" in capsys.readouterr().err
    with pytest.raises(InvalidArgument, match="taken"):
        train.nlu([("a", "x"), ("b", "y")], out=taken)
    assert [p.name for p in taken.iterdir()] == ["something.txt"]


def test_a_bad_rule_is_refused_before_the_work(tmp_path, monkeypatch) -> None:
    def no_work(*_: object, **__: object) -> None:
        raise AssertionError("worked before looking at the rules")

    monkeypatch.setattr(nlu_model, "fit_intents", no_work)
    with pytest.raises(InvalidArgument, match="rules"):
        train.nlu([("a", "x"), ("b", "y")], out=tmp_path / "m", rules={"code": "("}, encoder=None)
