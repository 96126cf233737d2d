"""On a CUDA GPU: the same answers as on the CPU, within what float32 sums in another order differ by."""

from __future__ import annotations

import time

import numpy as np
import pytest

from ecocore import BehaviorModel, DeviceUnavailable, SessionStore
from reference_recurrent import model_arrays, random_sequences, write_model

pytest.importorskip("onnx", reason="onnx is not installed (extra 'test')")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'gpu')")


@pytest.fixture(params=["lstm", "gru", "rnn"])
def models(request, tmp_path):
    meta, arrays = model_arrays(request.param, dim=128, hidden=128, layers=2, bias=True)
    path = write_model(tmp_path / "m", meta, arrays, with_graph=True)
    try:
        cuda = BehaviorModel.load(path, "cuda")
    except DeviceUnavailable as e:
        pytest.skip(str(e))
    return BehaviorModel.load(path, "cpu"), cuda


def test_ragged_lengths_agree_with_the_cpu(models):
    cpu, cuda = models
    assert cuda.info["device"] == "cuda"
    sequences = random_sequences(np.random.default_rng(0), 300, longest=200)
    a, b = cpu.encode(sequences), cuda.encode(sequences)
    np.testing.assert_allclose(a.h, b.h, atol=1e-4)
    np.testing.assert_allclose(cpu.probabilities(sequences), cuda.probabilities(sequences), atol=1e-4)


def test_store_advances_on_the_gpu(models):
    cpu, cuda = models
    store = SessionStore(cuda, max_delay=1e-4)
    sequences = [s or [5] for s in random_sequences(np.random.default_rng(0), 20)]
    for user, sequence in enumerate(sequences):
        for item in sequence:
            store.append(user, item)
    for user, h in enumerate(cpu.encode(sequences).h):
        np.testing.assert_allclose(store.state(user).h, h, atol=1e-4)


def test_bulk_beside_cudnn_in_pytorch(models, capsys):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    cpu, cuda = models
    if cpu.info["cell"] != "lstm":
        pytest.skip("measured for LSTM only")
    rows, steps = 8192, 128
    flat = (np.random.default_rng(0).integers(0, 40, rows * steps) * 10 + 5).astype(np.int64)
    indptr = np.arange(rows + 1) * steps
    cuda.encode((indptr, flat))
    begin = time.perf_counter()
    cuda.encode((indptr, flat))
    ours = rows * steps / (time.perf_counter() - begin)
    lstm, x = torch.nn.LSTM(128, 128, num_layers=2).cuda(), torch.randn(steps, rows, 128, device="cuda")
    with torch.no_grad():
        lstm(x)
        torch.cuda.synchronize()
        begin = time.perf_counter()
        lstm(x)
        torch.cuda.synchronize()
    theirs = rows * steps / (time.perf_counter() - begin)
    with capsys.disabled():
        print(f"\n{ours:,.0f} events/s from ids on the host to states; cuDNN in PyTorch, on the device: {theirs:,.0f}")
    assert ours > 0
