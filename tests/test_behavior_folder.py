"""The folder of a behaviour model: who it is, and what is said where it is damaged."""

from __future__ import annotations

import numpy as np
import pytest

import ecocore.storage as storage
from ecocore import BehaviorModel, FormatError, InvalidArgument, SessionStore
from reference_recurrent import graph_bytes, model_arrays, write_model


def own(boundaries):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'cpu' or 'gpu')")
    pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
    meta, arrays = model_arrays("gru", gaps=6)
    return BehaviorModel.from_graph(
        graph_bytes(meta, arrays), np.arange(40), gap_boundaries=boundaries,
        item_vectors=arrays["item_vectors"][1:], device="cpu",
    )  # fmt: skip


def test_a_model_is_the_same_after_save_and_load_and_another_with_other_gaps(tmp_path):
    made, other = own([1, 3, 7, 15]), own([60, 180, 420, 900])
    made.save(tmp_path / "made")
    other.save(tmp_path / "other")
    loaded, loaded_other = (BehaviorModel.load(tmp_path / name, "cpu") for name in ("made", "other"))
    assert loaded.sha256 == made.sha256
    assert loaded_other.sha256 == other.sha256 != made.sha256
    loaded.save(tmp_path / "made")
    assert BehaviorModel.load(tmp_path / "made", "cpu").sha256 == made.sha256

    store = SessionStore(made, capacity=10)
    store.append("u", 3, time=1.0)
    store.append("u", 4, time=6.0)
    store.snapshot(tmp_path / "states")
    again = SessionStore(loaded, capacity=10)
    again.restore(tmp_path / "states")
    np.testing.assert_array_equal(again.state("u").h, store.state("u").h)
    with pytest.raises(InvalidArgument, match="states of another model"):
        SessionStore(loaded_other, capacity=10).restore(tmp_path / "states")


@pytest.mark.parametrize("change", [{"scale": 3.0}, {"probability": "softmax"}])
def test_what_changes_results_changes_the_identity_and_reports_do_not(tmp_path, change):
    meta, arrays = model_arrays("lstm")

    def sha256(**more):
        return BehaviorModel.load(write_model(tmp_path / "m", {**meta, **more}, arrays), "cpu").sha256

    assert sha256(**change) != sha256()
    assert sha256(training={"epochs": 3}) == sha256()


def test_a_save_while_a_model_is_loaded_does_not_give_it_the_name_of_the_other(tmp_path, monkeypatch):
    meta, arrays = model_arrays("lstm")
    old = BehaviorModel.load(write_model(tmp_path / "m", meta, arrays), "cpu")
    read = storage._load_manifest
    reads = []

    def saved_after_the_first(fd, folder):
        found = read(fd, folder)
        reads.append(folder)
        if len(reads) == 1:
            monkeypatch.setattr(storage, "_remove_leftovers", lambda *a, **k: None)  # mapped files outlive their names
            write_model(tmp_path / "m", *model_arrays("lstm", seed=1))
        return found

    monkeypatch.setattr(storage, "_load_manifest", saved_after_the_first)
    raced = BehaviorModel.load(tmp_path / "m", "cpu")
    np.testing.assert_array_equal(raced.encode([[5, 15]]).h, old.encode([[5, 15]]).h)
    assert raced.sha256 == old.sha256


def test_verify_finds_an_altered_weight(tmp_path):
    path = write_model(tmp_path / "m", *model_arrays("lstm"))
    BehaviorModel.load(path, "cpu", verify=True)
    file = next(path.glob("layer0_R-*.npy"))
    data = bytearray(file.read_bytes())
    data[-40] ^= 0x40
    file.write_bytes(data)
    BehaviorModel.load(path, "cpu")  # sizes are right, so that only the checksum can tell
    with pytest.raises(FormatError, match=r"layer0_R-.*the content was altered"):
        BehaviorModel.load(path, "cpu", verify=True)
