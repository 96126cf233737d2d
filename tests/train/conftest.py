from __future__ import annotations

import pytest


@pytest.fixture
def one_thread():
    """PyTorch on one thread: more are slower for small nets, and by far if the machine is busy."""
    torch = pytest.importorskip("torch", reason="the extra 'train' is not installed (no torch)")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
