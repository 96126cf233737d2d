"""What a graph file contains is known before it is loaded, and what must not run is refused with the remedy."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import pytest

from ecocore import BehaviorModel, DeviceUnavailable, FormatError, InvalidArgument, MissingExtra
from ecocore.onnx import GraphLimits, GraphSession, SequenceContract, read_graph
from ecocore.onnx import session as session_module
from reference_recurrent import graph_bytes, model_arrays

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
helper, TensorProto = onnx.helper, onnx.TensorProto


@pytest.fixture(scope="module")
def good():
    return graph_bytes(*model_arrays("lstm", types=2, gaps=5, query=7))


def test_reads_what_onnx_itself_reads(good):
    _, info = read_graph(good)
    model = onnx.load_model_from_string(good)
    kinds = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64", TensorProto.INT32: "int32"}
    for ours, theirs in ((info.inputs, model.graph.input), (info.outputs, model.graph.output)):
        assert [(t.name, t.dtype) for t in ours] == [(v.name, kinds[v.type.tensor_type.elem_type]) for v in theirs]
        assert [t.shape for t in ours] == [
            tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim) for v in theirs
        ]
    assert sum(info.operators.values()) == len(model.graph.node)
    assert (info.opset, info.ir_version, info.bytes) == (18, 8, len(good))


def test_every_truncation_is_refused_or_a_whole_smaller_message(good):
    for size in [*range(200), *range(200, len(good), 97), len(good) - 1]:
        with pytest.raises(FormatError, match=r"cut short|expected opset"):
            read_graph(good[:size])


def test_random_damage_never_gets_past_as_an_unknown_exception(good):
    random = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(good)
        for at in random.integers(0, len(data), 5):
            data[at] = random.integers(256)
        with contextlib.suppress(FormatError):
            read_graph(bytes(data))


def node(op, domain=""):
    return helper.make_node(op, ["state"], ["z"], domain=domain)


def with_node(extra, **kwargs):
    return graph_bytes(*model_arrays("lstm"), extra_nodes=[extra], **kwargs)


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_in_subgraph(model):
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="x")
    model.graph.node.append(helper.make_node("Constant", [], ["k"], value=tensor))


BODY = helper.make_graph([], "body", [], [])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: graph_bytes(*model_arrays(), edit=external), "lie in another file.*one single file"),
        (lambda: graph_bytes(*model_arrays(), edit=external_in_subgraph), "'hidden' lie in another file"),
        (lambda: with_node(node("Evil", domain="my.ops")), "custom operator 'my.ops::Evil'"),
        (lambda: with_node(node("FusedMatMul", domain="com.microsoft")), "custom operator"),
        (lambda: with_node(helper.make_node("NoSuchThing", ["state"], ["z"])), "outside the list of known ones"),
        (lambda: with_node(helper.make_node("Loop", [], ["z"], body=BODY)), "control flow .Loop. is refused"),
        (lambda: with_node(helper.make_node("If", ["c"], ["z"], then_branch=BODY, else_branch=BODY)), "control flow"),
        (lambda: graph_bytes(*model_arrays(), opset=22), "opset 13 to 21; got 22; export with opset_version=18"),
        (lambda: graph_bytes(*model_arrays(), opset=7), "got 7"),
        (lambda: b"", "cut short"),
        (lambda: b"PK\x03\x04 not a graph", "cut short|something else"),
        (lambda: b"\x08" + b"\xff" * 50, "runs over the end"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    data = make()
    with pytest.raises(FormatError, match=message):
        read_graph(data, name="m.onnx")
    with pytest.raises(FormatError, match=message):
        BehaviorModel.from_graph(data, np.arange(40))


def test_limits_can_be_widened_for_a_trusted_file():
    data = with_node(helper.make_node("Evil", ["state"], ["z"], domain="my.ops"))
    _, info = read_graph(data, GraphLimits(operators=frozenset({"my.ops::Evil"})))
    assert info.operators["my.ops::Evil"] == 1


def test_size_caps(tmp_path, good):
    path = tmp_path / "m.onnx"
    path.write_bytes(good)
    with pytest.raises(FormatError, match=f"at most 1000 bytes; got {len(good)}"):
        read_graph(path, GraphLimits(max_bytes=1000))
    with pytest.raises(FormatError, match="at most 3 nodes"):
        read_graph(path, GraphLimits(max_nodes=3))
    with path.open("wb") as file:
        file.truncate(1 << 32)  # a hole: huge, and never read
    with pytest.raises(FormatError, match="at most 2147483647 bytes; got 4294967296"):
        read_graph(path)
    with pytest.raises(FormatError, match="there is none"):
        read_graph(tmp_path / "absent.onnx")


# ---- the contract ----------------------------------------------------------------------------------------------


def value(model, name):
    return next(v for v in [*model.graph.input, *model.graph.output] if v.name == name)


def drop(name):
    def edit(model):
        for side in (model.graph.input, model.graph.output):
            for v in [v for v in side if v.name == name]:
                side.remove(v)

    return edit


def retype(name, kind):
    return lambda model: setattr(value(model, name).type.tensor_type, "elem_type", kind)


def resize(name, axis, size):
    return lambda model: setattr(value(model, name).type.tensor_type.shape.dim[axis], "dim_value", size)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop("h0"), "input 'h0': expected it.*h0 \\(and c0\\)"),
        (drop("hn"), "output 'hn': expected it.*return hn"),
        (drop("c0"), "input 'c0'"),
        (drop("items"), "input 'items'.*roles"),
        (retype("items", TensorProto.FLOAT), "'items': expected int64 or int32 for role 'items'; got float32"),
        (retype("lengths", TensorProto.INT64), "'lengths': expected int32"),
        (retype("h0", TensorProto.DOUBLE), "'h0': expected float32 for role 'h0'; got float64"),
        (resize("items", 0, 1), "'items': expected a symbolic batch .axis 0.; got int64 .1, time.; export"),
        (resize("h0", 1, 1), "'h0': expected a symbolic batch"),
        (resize("items", 1, 50), "'items': expected a symbolic time"),
        (resize("h0", 2, 0), "'h0': expected a fixed hidden size"),
        (resize("cn", 2, 99), "'cn': expected 16 on axis 2 as in h0"),
        (lambda m: setattr(value(m, "items"), "name", "input_1"), "input 'input_1': expected only|input 'items'"),
    ],
)  # fmt: skip
def test_mismatch_names_tensor_expected_got_and_remedy(edit, message):
    _, info = read_graph(graph_bytes(*model_arrays("lstm"), edit=edit))
    with pytest.raises(InvalidArgument, match=message):
        SequenceContract.of(info)


def test_roles_rename_and_wrong_roles_are_refused():
    data = graph_bytes(*model_arrays("gru"), edit=lambda m: setattr(value(m, "items"), "name", "input_1"))
    _, info = read_graph(data)
    assert SequenceContract.of(info, {"items": "input_1"}).name("items") == "input_1"
    with pytest.raises(InvalidArgument, match="expected roles among"):
        SequenceContract.of(info, {"itemz": "input_1"})
    with pytest.raises(InvalidArgument, match="role 'items' names it"):
        SequenceContract.of(info, {"items": "nope"})


# ---- sessions ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runtime():
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'cpu' or 'gpu')")


def test_cuda_that_is_absent_raises_and_auto_falls_back(runtime, good):
    if session_module.Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a CUDA GPU")
    with pytest.raises(DeviceUnavailable, match=r"device 'cuda' is not available.*ecocore\[cuda\]"):
        GraphSession(good, device="cuda")
    assert GraphSession(good, device="auto").device == "cpu"
    with pytest.raises(InvalidArgument, match="device: expected"):
        GraphSession(good, device="gpu")


def test_missing_and_doubled_runtimes_name_the_remedy(monkeypatch, good):
    monkeypatch.setattr(
        session_module, "installed_distributions", lambda: dict.fromkeys(session_module._DISTRIBUTIONS, "1")
    )
    with pytest.raises(MissingExtra, match=r"both installed.*pip uninstall"):
        GraphSession(good, device="cpu")
    monkeypatch.setattr(session_module, "installed_distributions", dict)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"ecocore\[gpu\].*ecocore\[cpu\]"):
        GraphSession(good, device="cpu")


def test_a_forked_child_makes_its_own_session(runtime, tmp_path, good):
    path = tmp_path / "m.onnx"
    path.write_bytes(good)
    code = f"""
import os
from ecocore.onnx import GraphSession, SequenceContract, read_graph
data, info = read_graph({str(path)!r})
contract = SequenceContract.of(info)
session = GraphSession(data, device="cpu")
session.warm_up(contract.feeds(2, 1))
first = session._session
child = os.fork()
if child == 0:
    session.run(None, contract.feeds(3, 2))
    os._exit(0 if session._session is not first else 3)
_, status = os.waitpid(child, 0)
session.run(None, contract.feeds(3, 2))
assert session._session is first
raise SystemExit(os.waitstatus_to_exitcode(status))
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60).returncode == 0


def test_import_brings_no_runtime():
    code = "import sys, ecocore, ecocore.onnx; assert 'onnxruntime' not in sys.modules and 'onnx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_graph_that_gives_nan_is_an_error(runtime):
    meta, arrays = model_arrays("lstm", query=7)
    # Finite weights that overflow, whatever the sign of the state; weights that are not finite are refused before.
    arrays["project_W"][3], arrays["project_W"][4], arrays["project_b"][3:5] = 3e38, -3e38, 3e38
    with pytest.raises(InvalidArgument, match="output 'state' has NaN"):
        BehaviorModel.from_graph(graph_bytes(meta, arrays), np.arange(40), item_vectors=arrays["item_vectors"][1:])


def weights_with(name, value, form="raw"):
    def edit(model):
        for tensor in model.graph.initializer:
            if tensor.name == name:
                values = onnx.numpy_helper.to_array(tensor).copy()
                values.reshape(-1)[7] = value
                if form == "raw":
                    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
                else:
                    kind = {"float": TensorProto.FLOAT, "half": TensorProto.FLOAT16, "double": TensorProto.DOUBLE}[form]
                    tensor.CopyFrom(helper.make_tensor(name, kind, values.shape, values.reshape(-1).tolist()))

    return graph_bytes(*model_arrays(), edit=edit)


@pytest.mark.parametrize("name", ["input_vectors", "layer0_W", "layer0_R", "layer0_B"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(name, value):
    """The runtime's cells make finite states of them, so that nothing later would tell."""
    got = "NaN" if np.isnan(value) else "inf"
    with pytest.raises(FormatError, match=rf"{name}': expected finite values; got {got}, first at place 7 of .*again"):
        BehaviorModel.from_graph(
            weights_with(name, value), np.arange(40), item_vectors=np.ones((40, 16), np.float32), device="cpu"
        )


@pytest.mark.parametrize("form", ["float", "half", "double"])
def test_every_form_of_floats_is_looked_at(form):
    read_graph(weights_with("layer0_W", 0.5, form))
    with pytest.raises(FormatError, match="layer0_W': expected finite values; got NaN"):
        read_graph(weights_with("layer0_W", np.nan, form))


def test_inf_is_let_in_where_it_is_meant_and_nan_never():
    limits = GraphLimits(infinite=True)
    read_graph(weights_with("layer0_W", -np.inf), limits)
    with pytest.raises(FormatError, match="got NaN"):
        read_graph(weights_with("layer0_W", np.nan), limits)
    mask = onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "mask")
    read_graph(with_node(helper.make_node("Constant", [], ["k"], value=mask)))  # one number is a mask, not weights


@pytest.mark.parametrize("name", ["item_vectors", "item_bias"])
def test_arrays_beside_a_graph_are_finite(name):
    given = {"item_vectors": np.ones((40, 16), np.float32), "item_bias": np.zeros(40, np.float32)}
    given[name].reshape(-1)[3] = np.nan
    with pytest.raises(InvalidArgument, match=f"^{name}: expected finite values; got nan"):
        BehaviorModel.from_graph(graph_bytes(*model_arrays()), np.arange(40), device="cpu", **given)
