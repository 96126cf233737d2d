"""What an ONNX file contains, read before anything runs it, and what is refused.

An ONNX file is a protobuf message. Its wire format is four kinds of fields, so a walk over it needs no library; field
numbers are those of onnx.proto. Of weights it is only asked whether they are finite, as the runtime's cells make finite
states of weights that are not.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError

__all__ = ["GraphInfo", "GraphLimits", "Tensor", "read_graph"]

_ELEMENT_TYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string"}
_ELEMENT_TYPES |= {9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16"}

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})

# What exporters make of embeddings, recurrent cells, attention and dense layers. None of these reads a file or calls
# code that is not in the runtime.
_OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Compress Concat Constant
    ConstantOfShape Conv Cos CumSum DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp
    Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool
    Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf
    IsNaN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul MatMulInteger Max
    MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearMatMul
    QuantizeLinear RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid
    Sign Sin Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh ThresholdedRelu Tile TopK
    Transpose Tril Trilu Unique Unsqueeze Where Xor
    """.split()  # noqa: SIM905
)

# Floats by element type: float32, float16, float64, bfloat16; as integers, whose exponent is all ones if not finite.
_FLOATS: dict[int, tuple[np.dtype[Any], Any]] = {
    1: (np.dtype("<u4"), np.uint32(0x7F800000)),
    10: (np.dtype("<u2"), np.uint16(0x7C00)),
    11: (np.dtype("<u8"), np.uint64(0x7FF0000000000000)),
    16: (np.dtype("<u2"), np.uint16(0x7F80)),
}
_MANTISSA = {1: np.uint32(0x7FFFFF), 10: np.uint16(0x3FF), 11: np.uint64((1 << 52) - 1), 16: np.uint16(0x7F)}
_CHUNK = 1 << 20  # weights looked at together

_MAX_DEPTH = 16  # of graphs within graphs


@dataclass(frozen=True)
class GraphLimits:
    """What a graph may be. The defaults fit graphs of strangers; widen them for a graph you trust."""

    max_bytes: int = (1 << 31) - 1  # what one protobuf message may have
    max_nodes: int = 100_000
    opsets: tuple[int, int] = (13, 21)  # newer recurrent operators are not run on CUDA by ONNX Runtime 1.31
    control_flow: bool = False
    infinite: bool = False  # whether weights of more than one number may hold inf, as a mask of attention does
    operators: frozenset[str] = field(default=frozenset())  # further ones, as "Name" or "domain::Name"


@dataclass(frozen=True)
class Tensor:
    """An input or output: dtype as NumPy names it, and dimensions: a number, a symbol, or "?" for an unnamed one."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class GraphInfo:
    """What :func:`read_graph` found."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    ir_version: int
    operators: dict[str, int]  # "LSTM" or "domain::Name" to how often
    producer: str
    bytes: int
    sha256: str


def read_graph(
    source: str | os.PathLike[str] | bytes, limits: GraphLimits | None = None, name: str = ""
) -> tuple[bytes, GraphInfo]:
    """The bytes of a graph and what they contain; raises FormatError, naming file and remedy, for what may not run.

    ``source``: a path, or the bytes themselves (``name`` then serves in messages). Refused are files above the size
    cap, files cut short or that are no ONNX, weights in other files, weights that are NaN or inf, custom operators,
    control flow, and opsets outside the range.
    """
    limits = limits or GraphLimits()
    if isinstance(source, bytes):
        where, data = name or "graph", source
    else:
        where = name or str(source)
        path = Path(source)
        if not path.is_file():
            raise FormatError(f"{where}: expected an ONNX file; there is none")
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise FormatError(_too_large(where, size, limits))
        data = path.read_bytes()
    if len(data) > limits.max_bytes:
        raise FormatError(_too_large(where, len(data), limits))
    walk = _Walk(where, limits)
    try:
        info = walk.model(data)
    except (_Malformed, UnicodeDecodeError) as e:
        raise FormatError(
            f"{where}: expected an ONNX file; got something else, or a file cut short ({e}); copy or export it again"
        ) from None
    return data, info


def _too_large(where: str, size: int, limits: GraphLimits) -> str:
    return (
        f"{where}: expected at most {limits.max_bytes} bytes; got {size};"
        " raise GraphLimits.max_bytes if you trust the file"
    )


# ---- the walk --------------------------------------------------------------------------------------------------


class _Malformed(ValueError):
    """Not a protobuf message, or not a whole one."""


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _Malformed(f"a number runs over the end at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message: an int for a varint, a view for everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise _Malformed("field number 0")
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise _Malformed(f"wire type {kind}")
        if size > len(data) - at:
            raise _Malformed(f"field {number} wants {size} bytes of {len(data) - at} left")
        yield number, data[at : at + size]
        at += size


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number where a message was expected")
    return value


def _text(value: int | memoryview) -> str:
    return str(_view(value), "utf-8")


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise _Malformed("bytes where a number was expected")
    return value


def _operator(node: memoryview) -> tuple[str, list[memoryview]]:
    """A node's operator, as in ``GraphInfo.operators``, and its attributes."""
    operator = domain = ""
    attributes = []
    for number, value in _fields(node):
        if number == 4:
            operator = _text(value)
        elif number == 5:
            attributes.append(_view(value))
        elif number == 7:
            domain = _text(value)
    return _key(domain, operator), attributes


def _key(domain: str, operator: str) -> str:
    return operator if domain in ("", "ai.onnx") else f"{domain}::{operator}"


class _Walk:
    def __init__(self, where: str, limits: GraphLimits) -> None:
        self.where = where
        self.limits = limits
        self.operators: Counter[str] = Counter()
        self.nodes = 0

    def refuse(self, what: str) -> FormatError:
        return FormatError(f"{self.where}: {what}")

    def model(self, data: bytes) -> GraphInfo:
        ir_version, producer, opsets, graphs, functions = 0, "", {}, [], []
        for number, value in _fields(memoryview(data)):
            if number == 1:
                ir_version = _number(value)
            elif number == 2:
                producer = _text(value)
            elif number == 7:
                graphs.append(_view(value))
            elif number == 8:
                domain, version = "", 0
                for n, v in _fields(_view(value)):
                    if n == 1:
                        domain = _text(v)
                    elif n == 2:
                        version = _number(v)
                opsets["" if domain == "ai.onnx" else domain] = version
            elif number == 25:
                functions.append(_view(value))
        if len(graphs) != 1 or not ir_version:
            raise _Malformed(f"{len(graphs)} graphs, IR version {ir_version}")
        low, high = self.limits.opsets
        if not low <= opsets.get("", 0) <= high:
            raise self.refuse(
                f"expected opset {low} to {high}; got {opsets.get('', 'none')};"
                " export with opset_version=18, which CPU and CUDA both run"
            )
        for function in functions:
            for n, v in _fields(function):
                if n == 7:
                    self.node(_view(v), 1)
        inputs, outputs = self.graph(graphs[0], 0)
        return GraphInfo(
            tuple(inputs),
            tuple(outputs),
            opsets[""],
            ir_version,
            dict(sorted(self.operators.items())),
            producer,
            len(data),
            hashlib.sha256(data).hexdigest(),
        )

    def graph(self, data: memoryview, depth: int) -> tuple[list[Tensor], list[Tensor]]:
        if depth > _MAX_DEPTH:
            raise self.refuse(f"expected graphs at most {_MAX_DEPTH} deep")
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        initialised = set()
        for number, value in _fields(data):
            if number == 1:
                self.node(_view(value), depth)
            elif number == 5:
                initialised.add(self.tensor(_view(value)))
            elif number == 15:
                for n, v in _fields(_view(value)):
                    if n in (1, 2):
                        self.tensor(_view(v))
            elif number in (11, 12):
                (inputs if number == 11 else outputs).append(_value_info(_view(value)))
        return [t for t in inputs if t.name not in initialised], outputs

    def node(self, data: memoryview, depth: int) -> None:
        self.nodes += 1
        if self.nodes > self.limits.max_nodes:
            raise self.refuse(f"expected at most {self.limits.max_nodes} nodes; raise GraphLimits.max_nodes")
        key, attributes = _operator(data)
        self.operators[key] += 1
        if key in _CONTROL_FLOW:
            if not self.limits.control_flow:
                raise self.refuse(
                    f"control flow ({key}) is refused: it is slow and may run without end;"
                    " export the recurrent layer as one LSTM, GRU or RNN operator, or set GraphLimits.control_flow"
                )
        elif key not in _OPERATORS and key not in self.limits.operators:
            what = "custom operator" if "::" in key else "operator outside the list of known ones"
            raise self.refuse(
                f"{what} {key!r} is refused; export with standard operators only,"
                f" or name it in GraphLimits.operators if you trust it"
            )
        for attribute in attributes:
            for number, value in _fields(attribute):
                if number in (5, 10):
                    self.tensor(_view(value))
                elif number in (6, 11):
                    self.graph(_view(value), depth + 1)

    def tensor(self, data: memoryview) -> str:
        name, external, kind, parts = "", False, 0, []
        for number, value in _fields(data):
            if number == 8:
                name = _text(value)
            elif number == 2:
                kind = _number(value)
            elif number in (4, 9, 10):  # float_data, raw_data, double_data
                parts.append(_view(value))
            elif number == 5:  # int32_data, which also holds half-width floats
                parts.append(_half_bits(value))
            elif number == 13 or (number == 14 and value == 1):
                external = True
        if external:
            raise self.refuse(
                f"weights of {name!r} lie in another file, which is refused; export one single file"
                " (torch.onnx.export(..., external_data=False), onnx.save_model(..., save_as_external_data=False))"
            )
        if kind in _FLOATS:
            self.finite(name, kind, parts)
        return name

    def finite(self, name: str, kind: int, parts: list[memoryview]) -> None:
        dtype, exponent = _FLOATS[kind]
        size = sum(len(p) for p in parts) // dtype.itemsize
        for part in parts:
            bits = np.frombuffer(part[: len(part) // dtype.itemsize * dtype.itemsize], dtype)
            for begin in range(0, bits.size, _CHUNK):
                some = bits[begin : begin + _CHUNK]
                broken = (some & exponent) == exponent  # of such bits, those with a mantissa are NaN
                if not broken.any():
                    continue
                nan = bool(((some[broken] & _MANTISSA[kind]) != 0).any())
                if nan or (size > 1 and not self.limits.infinite):
                    raise self.refuse(
                        f"weights {name!r}: expected finite values; got {'NaN' if nan else 'inf'}, first at place"
                        f" {begin + int(np.argmax(broken))} of {size}; the training diverged or the export broke them:"
                        " look at the weights where they were trained, then export again"
                        + ("" if nan else ", or set GraphLimits.infinite where inf is meant")
                    )


def _half_bits(value: int | memoryview) -> memoryview:
    """Entries of int32_data (one, or many packed) as 16 bits each."""
    values, at = [], 0
    if isinstance(value, int):
        values = [value]
    else:
        while at < len(value):
            number, at = _varint(value, at)
            values.append(number)
    return memoryview(np.array([v & 0xFFFF for v in values], "<u2").tobytes())


def _value_info(data: memoryview) -> Tensor:
    name, dtype = "", "not a tensor"
    shape: tuple[int | str, ...] = ()
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for n, v in _fields(_view(value)):
                if n == 1:
                    dtype, shape = _tensor_type(_view(v))
    return Tensor(name, dtype, shape)


def _tensor_type(data: memoryview) -> tuple[str, tuple[int | str, ...]]:
    dtype, dims = "undefined", []
    for number, value in _fields(data):
        if number == 1:
            dtype = _ELEMENT_TYPES.get(_number(value), f"element type {value}")
        elif number == 2:
            for n, v in _fields(_view(value)):
                if n == 1:
                    dims.append(_dimension(_view(v)))
    return dtype, tuple(dims)


def _dimension(data: memoryview) -> int | str:
    for number, value in _fields(data):
        if number == 1:
            return _number(value)
        if number == 2:
            return _text(value) or "?"
    return "?"
