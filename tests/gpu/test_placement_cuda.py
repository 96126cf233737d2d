"""On a CUDA GPU: a session has all that carries the model there, and one that would not have it is not made."""

from __future__ import annotations

import numpy as np
import pytest

from ecocore import BehaviorModel, DeviceUnavailable
from ecocore.onnx import GraphSession
from reference_graphs import exported
from reference_recurrent import graph_bytes, model_arrays

pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'gpu')")


def providers(session):
    """Where the runtime put each operator."""
    found = {}
    for subgraph in session._session.get_provider_graph_assignment_info():
        for node in subgraph.get_nodes():
            found.setdefault(node.op_type, set()).add(subgraph.ep_name)
    return found


@pytest.fixture(autouse=True)
def gpu():
    try:
        GraphSession(graph_bytes(*model_arrays("lstm")), device="cuda")
    except DeviceUnavailable as e:
        if "is not available" not in str(e):
            raise
        pytest.skip(str(e))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("opset", [13, 18, 21])
def test_every_opset_that_is_accepted_has_its_cells_on_cuda(cell, opset):
    session = GraphSession(graph_bytes(*model_arrays(cell, types=2, gaps=6), opset=opset), device="cuda")
    assert session.device == "cuda"
    found = providers(session)
    assert found[cell.upper()] == found["Gather"] == {"CUDAExecutionProvider"}


@pytest.mark.parametrize("named", [True, False])
def test_shape_bookkeeping_does_not_refuse_a_graph(named):
    session = GraphSession(exported(named), device="cuda")
    found = providers(session)
    assert found["LSTM"] == {"CUDAExecutionProvider"}
    items = np.random.default_rng(0).integers(0, 50, (3, 4))
    (got,), (want,) = (s.run(None, {"items": items}) for s in (session, GraphSession(exported(named), device="cpu")))
    np.testing.assert_allclose(got, want, atol=1e-4)


def without_kernel(model):
    """LpNormalization has none on CUDA; it takes the place of the last operator, which only hands its input on."""
    model.graph.node[-1].op_type = "LpNormalization"


def test_an_operator_without_a_cuda_kernel_is_an_error_and_auto_takes_the_cpu():
    meta, arrays = model_arrays("gru")
    graph = graph_bytes(meta, arrays, edit=without_kernel)
    with pytest.raises(DeviceUnavailable, match=r"gave to the CPU, of this graph of opset 18: LpNormalization \(1\)"):
        GraphSession(graph, device="cuda")
    model = BehaviorModel.from_graph(graph, np.arange(40), item_vectors=arrays["item_vectors"][1:], device="auto")
    assert model.info["device"] == "cpu"
