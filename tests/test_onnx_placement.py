"""Where operators were put: what the runtime really tells is compared with what was asked for, without a GPU.

A CPU session tells of every node; those that CUDA has kernels for are said to be there by :func:`told`.
"""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from ecocore import BehaviorModel, DeviceUnavailable
from ecocore.onnx import GraphSession
from ecocore.onnx import session as session_module
from ecocore.onnx.placement import misplaced, parts_of
from reference_graphs import SHAPES, exported
from reference_recurrent import graph_bytes, model_arrays

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'cpu' or 'gpu')")
helper, TensorProto = onnx.helper, onnx.TensorProto

CUDA = "CUDAExecutionProvider"


def told(graph, on_cpu=lambda node: True):
    """What a session tells of the nodes of ``graph``, those apart from ``on_cpu`` as if CUDA had them."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    assignment = session.get_provider_graph_assignment_info()
    assert all(s.ep_name == "CPUExecutionProvider" for s in assignment)
    nodes = [node for s in assignment for node in s.get_nodes()]
    assert nodes
    sides = [("CPUExecutionProvider", [n for n in nodes if on_cpu(n)]), (CUDA, [n for n in nodes if not on_cpu(n)])]
    return [SimpleNamespace(ep_name=name, get_nodes=lambda own=own: own) for name, own in sides]


@pytest.mark.parametrize("named", [True, False])
def test_all_on_the_cpu_names_what_carries_the_model(named):
    graph = exported(named)
    found = misplaced(told(graph), parts_of(graph))
    assert found == {"Gather": 1, "Transpose": 1, "LSTM": 1, "Squeeze": 1, "MatMul": 1, "Mul": 1}
    assert misplaced(told(graph), parts_of(graph), "CPUExecutionProvider") == {}


@pytest.mark.parametrize("named", [True, False])
def test_shape_bookkeeping_may_be_on_the_cpu(named):
    graph = exported(named)
    parts, seen = parts_of(graph), []

    def on_cpu(node):  # the first Gather is that of a shape
        seen.append(node.op_type)
        return node.op_type in SHAPES or (node.op_type == "Gather" and seen.count("Gather") == 1)

    assignment = told(graph, on_cpu)
    assert {n.op_type for n in assignment[0].get_nodes()} >= {"Shape", "Gather", "Concat", "Greater", "Cast"}
    assert misplaced(assignment, parts) == {}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("operator", ["LSTM", "MatMul", "Transpose"])
def test_one_operator_on_the_cpu_is_enough(named, operator):
    graph = exported(named)
    assignment = told(graph, lambda node: node.op_type == operator or node.op_type in SHAPES)
    assert misplaced(assignment, parts_of(graph)) == {operator: 1}


def test_gathers_are_told_apart_by_name():
    graph = exported()
    assert misplaced(told(graph, lambda node: node.name == "/batch"), parts_of(graph)) == {}
    assert misplaced(told(graph, lambda node: node.name == "/x"), parts_of(graph)) == {"Gather": 1}
    small = exported(table=(4, 3))  # as few numbers as those of shapes
    assert misplaced(told(small, lambda node: node.name == "/x"), parts_of(small)) == {"Gather": 1}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_graphs_that_ecocore_writes(cell):
    graph = graph_bytes(*model_arrays(cell, layers=2, types=2, gaps=6, query=7, scale=3.0))
    parts = parts_of(graph)
    assert parts.opset == 18
    assert sum(parts.bookkeeping.values()) == 3  # the transposes of ids
    found = misplaced(told(graph), parts)
    assert found[cell.upper()] == 2
    assert found["Gather"] == 3 + 2 * (2 if cell == "lstm" else 1)  # tables, and layers of the state
    assert "Transpose" not in found
    assert misplaced(told(graph, lambda node: node.op_type == "Transpose"), parts) == {}


def test_nodes_of_the_runtimes_own_are_judged_by_their_operator():
    parts = parts_of(exported())
    made = [SimpleNamespace(domain=d, op_type=o, name="made/of/others") for d, o in
            [("", "Split"), ("", "Gemm"), ("com.microsoft", "DynamicQuantizeLSTM"), ("", "Concat")]]  # fmt: skip
    assignment = [SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: made)]
    assert misplaced(assignment, parts) == {"Gemm": 1, "com.microsoft::DynamicQuantizeLSTM": 1}


def test_branches_are_looked_into():
    """An If on a shape is bookkeeping only if its branches are."""

    def branch(*nodes):
        value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
        return helper.make_graph(list(nodes), "branch", [], [value])

    def parts(*nodes):
        top = [
            helper.make_node("Size", ["x"], ["size"], name="size"),
            helper.make_node("Cast", ["size"], ["some"], name="some", to=TensorProto.BOOL),
            helper.make_node("If", ["some"], ["y"], name="if", then_branch=branch(*nodes), else_branch=branch(*nodes)),
        ]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])
        graph = helper.make_graph(top, "g", [x], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        return parts_of(helper.make_model(graph).SerializeToString())

    scale = helper.make_node("Cast", ["size"], ["out"], name="inner", to=TensorProto.FLOAT)
    model = helper.make_node("MatMul", ["x", "x"], ["out"], name="inner")
    assert parts(scale).bookkeeping == Counter(
        {("Size", "size"): 1, ("Cast", "some"): 1, ("Cast", "inner"): 2, ("If", "if"): 1}
    )
    assert parts(model).carrying == Counter({("MatMul", "inner"): 2, ("If", "if"): 1})


# ---- sessions: the runtime, with a CUDA that it does not have here -----------------------------------------------


class Pretended:
    """ONNX Runtime whose sessions take CUDA for all nodes but those that ``on_cpu`` says, and run on the CPU."""

    def __init__(self, on_cpu=lambda node: node.op_type in SHAPES, run_error=None):
        self.on_cpu, self.run_error, self.opened = on_cpu, run_error, []

    def __getattr__(self, name):
        return getattr(runtime, name)

    def InferenceSession(self, graph, options, providers):
        names = [p if isinstance(p, str) else p[0] for p in providers]
        self.opened.append(names[0])
        session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        if names[0] != CUDA:
            return session
        assert options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
        return SimpleNamespace(
            get_providers=lambda: names,
            disable_fallback=lambda: None,
            get_provider_graph_assignment_info=lambda: told(graph, self.on_cpu),
            run=self.failing if self.run_error else session.run,
        )

    def failing(self, *_):
        raise self.run_error


@pytest.fixture
def pretend(monkeypatch):
    def use(**kwargs):
        fake = Pretended(**kwargs)
        monkeypatch.setattr(session_module, "import_runtime", lambda: fake)
        monkeypatch.setattr(session_module, "_require_cuda", lambda _: None)
        return fake

    return use


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_cuda_that_runs_the_model_is_taken(pretend, device):
    fake = pretend()
    session = GraphSession(exported(), device=device)
    assert (session.device, fake.opened) == ("cuda", [CUDA])
    session.warm_up({"items": np.zeros((2, 3), np.int64)})
    assert session.device == "cuda"


def test_cuda_that_leaves_the_model_to_the_cpu_is_an_error_and_auto_takes_the_cpu_whole(pretend):
    fake = pretend(on_cpu=lambda node: node.op_type in {"LSTM", "Shape"})
    message = (
        r"device 'cuda': expected every operator that carries.*gave to the CPU, of this graph of opset 18: LSTM \(1\);"
        r".*opset_version=18.*or use device='cpu'"
    )
    with pytest.raises(DeviceUnavailable, match=message):
        GraphSession(exported(), device="cuda")
    fake.opened.clear()
    assert GraphSession(exported(), device="auto").device == "cpu"
    assert fake.opened == [CUDA, "CPUExecutionProvider"]


def test_a_runtime_that_does_not_tell_is_said_to_be_too_old(pretend, monkeypatch):
    fake = pretend()
    made = fake.InferenceSession

    def old(*args, **kwargs):
        session = made(*args, **kwargs)
        del session.get_provider_graph_assignment_info
        return session

    monkeypatch.setattr(fake, "InferenceSession", old)
    with pytest.raises(DeviceUnavailable, match=r"expected ONNX Runtime 1\.28 or later.*got.*pip install --upgrade"):
        GraphSession(exported(), device="cuda")


class NotImplemented(Exception):
    """Named as the runtime's."""


def test_auto_takes_the_cpu_where_cuda_cannot_run_what_it_took(pretend):
    meta, arrays = model_arrays("lstm")
    graph, ids, vectors = graph_bytes(meta, arrays), np.arange(40), arrays["item_vectors"][1:]
    error = NotImplemented("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : LSTM needs cuDNN")
    pretend(on_cpu=lambda node: False, run_error=error)
    with pytest.raises(
        DeviceUnavailable, match=r"device 'cuda' cannot run an operator.*LSTM needs cuDNN.*ecocore\[cuda\]"
    ):
        BehaviorModel.from_graph(graph, ids, item_vectors=vectors, device="cuda")
    model = BehaviorModel.from_graph(graph, ids, item_vectors=vectors, device="auto")
    assert model.info["device"] == model.engine.device == "cpu"
    plain = BehaviorModel.from_graph(graph, ids, item_vectors=vectors, device="cpu")
    assert np.array_equal(model.encode([[1, 2, 3]]).h, plain.encode([[1, 2, 3]]).h)
