"""The folder of a behaviour model: who it is, and what is said where it is damaged."""

from __future__ import annotations

import json

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


FULL = {"layers": 2, "types": 2, "gaps": 6, "query": 9, "bias": True}


def without(name):
    return lambda meta, arrays: (meta if name in meta else arrays).pop(name)


def fewer(name):
    return lambda meta, arrays: arrays.update({name: arrays[name][:-1]})


def put(name, value):
    return lambda meta, arrays: meta.update({name: value})


@pytest.mark.parametrize("engine", ["native", "onnxruntime"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *((without(n), rf"meta\['{n}'\]: expected .*; got nothing") for n in (
            "probability", "scale", "layers", "cell", "projection", "event_types", "gaps", "graph", "item_ids",
            "event_type_ids", "gap_boundaries", "item_bias")),
        (put("scale", "x"), r"meta\['scale'\]: expected a finite number above 0, or null; got 'x'"),
        (put("probability", "zzz"), r"meta\['probability'\]: expected 'sigmoid' or 'softmax'; got 'zzz'"),
        (put("layers", 0), r"meta\['layers'\]: expected a whole number from 1; got 0"),
        (put("layers", 3), r"layer2_W: expected an array"),
        (put("cell", ["lstm"]), r"meta\['cell'\]: expected 'rnn', 'gru' or 'lstm'"),
        (put("cell", "gru"), r"layer0_W: expected shape \(48, 12\); got \(64, 12\)"),
        (put("event_types", 9), r"meta\['event_types'\]: expected 3, as event_type_ids say; got 9"),
        (put("gap_boundaries", [3, 1]), r"meta\['gap_boundaries'\]: expected a list of finite rising seconds"),
        *((fewer(n), rf"{n}: expected shape .*; got ") for n in (
            "item_vectors", "item_bias", "input_vectors", "event_type_vectors", "gap_vectors", "project_b")),
        *((without(n), rf"{n}: expected an array of shape") for n in (
            "input_vectors", "layer0_R", "layer1_B", "project_b", "item_vectors")),
        (lambda m, a: a["item_vectors"].fill(np.nan), "item_vectors and item_bias: .*nan at row 0"),
        (lambda m, a: a["layer1_R"].fill(np.inf), "weights: R: expected finite"),
    ],
)  # fmt: skip
def test_damage_is_said_with_the_folder_and_the_field(tmp_path, engine, damage, message):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'cpu' or 'gpu')")
    meta, arrays = model_arrays("lstm", **FULL)
    path = write_model(tmp_path / "folder", meta, arrays)
    meta, arrays = storage.read_folder(path, "behavior")
    meta, arrays = json.loads(json.dumps(meta)), {name: np.array(a) for name, a in arrays.items()}
    damage(meta, arrays)
    storage.write_folder(path, "behavior", meta, arrays)
    with pytest.raises(FormatError, match=f"folder: .*{message}"):
        BehaviorModel.load(path, "cpu", engine=engine)
