"""The only place that makes an ONNX Runtime session.

What a session really runs on is asked of the session: the runtime lists providers that cannot run, and falls back to
the CPU in silence, as a whole or operator by operator. Threads are explicit and do not spin, so that a service's other
threads keep their cores. Sessions are made on first use in each process: one that was made before a fork is not touched
again, nor freed, in the child.
"""

from __future__ import annotations

import importlib.metadata
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from ..arrays import as_count
from ..errors import DeviceUnavailable, EcocoreError, InvalidArgument, MissingExtra
from ..runtime import get_num_threads
from .placement import misplaced, parts_of

__all__ = ["Device", "GraphSession", "import_runtime", "installed_distributions"]

Device = Literal["auto", "cpu", "cuda"]
Array = npt.NDArray[Any]

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_GPU_NODES = ("nvidia[0-9]*", "dxg", "nvhost-gpu")  # native Linux, WSL, Tegra
_ABANDONED: list[Any] = []  # sessions of a parent process: freeing one in a forked child can crash


def installed_distributions() -> dict[str, str]:
    """The distributions of ONNX Runtime that are installed, with their versions."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def import_runtime() -> Any:
    """The module ``onnxruntime``; raises MissingExtra where it is absent or installed twice over itself."""
    found = installed_distributions()
    if len(found) > 1:
        raise MissingExtra(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; keep one, run:"
            " pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'ecocore[gpu]'  (or 'ecocore[cpu]')"
        )
    try:
        import onnxruntime
    except ImportError as e:
        if found:
            raise MissingExtra(
                f"{next(iter(found))} is installed but cannot be imported ({e}); run:"
                f" pip install --force-reinstall {next(iter(found))}"
            ) from e
        raise MissingExtra(
            "running a graph needs ONNX Runtime, which is not installed; run: pip install 'ecocore[gpu]'"
            " (CPU and CUDA) or pip install 'ecocore[cpu]' (smaller, CPU only)"
        ) from None
    return onnxruntime


class GraphSession:
    """A graph that is ready to run, on one device, in every process that uses this object.

    Args:
        graph: the bytes of a checked graph (:func:`ecocore.onnx.read_graph`).
        device: "cpu"; "cuda", which has to run every operator that carries the model (:mod:`.placement`); or "auto":
            CUDA where it runs all of that, else the CPU for the whole graph. A graph in halves is never kept: its
            activations would cross the bus at every run, which costs a service more than the CPU does.
        num_threads: threads within one run; 0 = automatic. Callers on several threads may run at once; for services,
            many callers on 1 thread each are the better way.
        memory_limit: bytes that CUDA may take for this session; 0 = no limit.

    Raises:
        DeviceUnavailable: "cuda" was asked for and a session cannot have it, or runs operators of the model elsewhere.
        MissingExtra: ONNX Runtime is not installed, or both of its distributions are.

    ``device``, "cpu" or "cuda": what it runs on. With "auto" :meth:`warm_up` may still turn "cuda" into "cpu".
    """

    def __init__(self, graph: bytes, *, device: Device = "auto", num_threads: int = 1, memory_limit: int = 0) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise InvalidArgument(f"device: expected 'auto', 'cpu' or 'cuda'; got {device!r}")
        self._graph = graph
        self._num_threads = as_count(num_threads, "num_threads", minimum=0) or get_num_threads()
        self._memory_limit = as_count(memory_limit, "memory_limit", minimum=0)
        self._lock = threading.Lock()
        self._pid = 0
        self._session: Any = None
        self._warm_up: Mapping[str, Array] | None = None
        self._auto = device == "auto"
        self.device = self._settle(device)

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Runs once, now and in every process that makes the session anew, so that the first caller does not wait for
        kernels to be loaded, and a device that cannot run this graph says so at load (or, with "auto", the CPU takes
        its place: CUDA accepts recurrent operators even where the cuDNN that they run on is absent)."""
        self._warm_up = dict(inputs)
        try:
            self.run(None, inputs)
        except DeviceUnavailable:
            if not self._auto or self.device == "cpu":
                raise
            self.device = "cpu"
            self._open("cpu")
            self.run(None, inputs)

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs (None = all) for inputs of exact dtype and shape. The GIL is released while it runs."""
        session = self._session if self._pid == os.getpid() else self._made()
        try:
            result: list[Array] = session.run(outputs, inputs)
            return result
        except Exception as e:  # the runtime's exceptions share no base but Exception
            if isinstance(e, EcocoreError):
                raise
            raise _explain(e, self.device) from e

    def close(self) -> None:
        """Drops the session; a later run makes it again."""
        with self._lock:
            self._drop()

    def _settle(self, device: Device) -> Literal["cpu", "cuda"]:
        if device == "cpu":
            self._open("cpu")
            return "cpu"
        try:
            self._open("cuda")
            return "cuda"
        except DeviceUnavailable:
            if device == "cuda":
                raise
        self._open("cpu")
        return "cpu"

    def _made(self) -> Any:
        with self._lock:
            if self._pid != os.getpid():
                self._open(self.device)
                if self._warm_up is not None:
                    self._session.run(None, self._warm_up)
            return self._session

    def _drop(self) -> None:
        if self._session is not None and self._pid != os.getpid():
            _ABANDONED.append(self._session)
        self._session, self._pid = None, 0

    def _open(self, device: Literal["cpu", "cuda"]) -> None:
        self._drop()
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._num_threads
        options.inter_op_num_threads = 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # what matters is raised; the rest would go to stderr past Python
        options.enable_mem_pattern = False  # shapes vary
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        providers: list[Any] = ["CPUExecutionProvider"]
        if device == "cuda":
            _require_cuda(runtime)
            cuda: dict[str, Any] = {"use_tf32": 0, "arena_extend_strategy": "kSameAsRequested"}
            if self._memory_limit:
                cuda["gpu_mem_limit"] = self._memory_limit
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
            providers = [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]
        try:
            session = runtime.InferenceSession(self._graph, options, providers=providers)
        except Exception as e:
            if device == "cuda" and "CUDA" in str(e):
                raise DeviceUnavailable(_no_cuda(str(e).splitlines()[0])) from e
            raise InvalidArgument(
                f"graph: ONNX Runtime {runtime.__version__} cannot load it: {e}; export it again"
            ) from e
        session.disable_fallback()
        got = session.get_providers()
        if device == "cuda" and "CUDAExecutionProvider" not in got:
            raise DeviceUnavailable(_no_cuda(f"the session got {', '.join(got)}"))
        if device == "cuda":
            _require_placement(session, self._graph, runtime.__version__)
        self._session, self._pid = session, os.getpid()

    # Copies and pickles would share or lose native sessions unseen.
    def __reduce__(self) -> Any:
        raise TypeError("a GraphSession cannot be pickled: load the model in each process, it is made on first use")


def _require_cuda(runtime: Any) -> None:
    """Raises where no session can have CUDA, before one is tried in vain, which takes time and prints to stderr."""
    if not any(node for pattern in _GPU_NODES for node in Path("/dev").glob(pattern)):
        raise DeviceUnavailable(_no_cuda("this machine shows no NVIDIA GPU to this process"))
    if "CUDAExecutionProvider" not in runtime.get_available_providers():  # of what was compiled in, not of what runs
        raise DeviceUnavailable(_no_cuda("this onnxruntime was built without CUDA"))
    runtime.preload_dlls(directory="")  # so that the libraries of NVIDIA's own wheels are found


def _require_placement(session: Any, graph: bytes, version: str) -> None:
    """Raises where operators that carry the model would run on the CPU."""
    try:
        assignment = session.get_provider_graph_assignment_info
    except AttributeError:  # not in any version that the extras allow
        raise DeviceUnavailable(
            "device 'cuda': expected ONNX Runtime 1.28 or later, which tells what it runs where; got"
            f" {version}; run: pip install --upgrade 'ecocore[cuda]'  (or use device='cpu')"
        ) from None
    parts = parts_of(graph)
    if found := misplaced(assignment(), parts):
        operators = ", ".join(f"{operator} ({count})" for operator, count in sorted(found.items()))
        raise DeviceUnavailable(
            "device 'cuda': expected every operator that carries the model on CUDAExecutionProvider; ONNX Runtime"
            f" {version} gave to the CPU, of this graph of opset {parts.opset}: {operators}; export it again with"
            " opset_version=18 and standard operators in float32, for which there are CUDA kernels, or use device='cpu'"
        )


def _no_cuda(why: str) -> str:
    return (
        f"device 'cuda' is not available: {why}; it needs an NVIDIA GPU with driver 580 or later and"
        " pip install 'ecocore[cuda]'; device='auto' takes the CPU where there is none"
    )


def _explain(e: Exception, device: str) -> Exception:
    text = str(e)
    if "NOT_IMPLEMENTED" in text or type(e).__name__ == "NotImplemented":
        return DeviceUnavailable(
            f"device {device!r} cannot run an operator of this graph: {text};"
            " for CUDA the extra 'ecocore[cuda]' brings cuDNN, which recurrent operators need"
        )
    if type(e).__name__ == "InvalidArgument":
        return InvalidArgument(f"graph: {text}")
    return e
