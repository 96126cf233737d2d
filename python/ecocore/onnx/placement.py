"""On which processor ONNX Runtime put the operators of a graph, and whether that is what was asked for.

A session that was asked for CUDA gives an operator for which it has no kernel there (of that opset, in that type) to
the CPU and says nothing: activations then cross the bus at every run. Other operators it puts on the CPU on purpose,
since they compute with shapes and their results are wanted there. The runtime tells where an operator is, but not what
it works on; so the graph is asked for that: an operator is *bookkeeping* if all that it reads goes back to shapes, to
the whole numbers that callers give (ids, lengths) and to small constants. All others carry the model: what reads
weights, an embedding, a state, or anything computed from these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

from .graph import _ELEMENT_TYPES, _fields, _key, _number, _operator, _text, _value_info, _varint, _view

__all__ = ["GraphParts", "misplaced", "parts_of"]

_WHOLE = frozenset({"int32", "int64", "bool"})
_SMALL = 100  # numbers of a constant; ONNX Runtime draws the same line
_OF_SHAPES = frozenset({"Shape", "Size"})  # their results say nothing of the values they read
# What arithmetic with shapes consists of: for operators that the runtime made out of others, under names of its own.
_USUAL = frozenset(
    """
    Add And Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater GreaterOrEqual Identity Less
    LessOrEqual Max Min Mod Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd Reshape Shape Size Slice Split Squeeze
    Sub Unsqueeze Where
    """.split()  # noqa: SIM905
)

Key = tuple[str, str]  # operator as in GraphInfo.operators, and the node's name, which may be empty


@dataclass(frozen=True)
class GraphParts:
    """How many nodes of an operator and a name carry the model, and how many are bookkeeping; and the opset."""

    carrying: Counter[Key]
    bookkeeping: Counter[Key]
    opset: int


def misplaced(assignment: Iterable[Any], parts: GraphParts, provider: str = "CUDAExecutionProvider") -> Counter[str]:
    """The operators that carry the model and were not given to ``provider``, with how many nodes of each; empty where
    all is as it was asked for.

    ``assignment``: what ``InferenceSession.get_provider_graph_assignment_info()`` returns: objects with ``ep_name`` and
    ``get_nodes()``, the nodes with ``domain``, ``op_type`` and ``name``. ``parts``: of the same graph.

    Where nodes of one operator share a name (many graphs give none), so many of them may be elsewhere as are
    bookkeeping. Nodes that the runtime made itself are judged by their operator.
    """
    elsewhere: Counter[Key] = Counter()
    for subgraph in assignment:
        if subgraph.ep_name != provider:
            elsewhere.update((_key(node.domain, node.op_type), node.name) for node in subgraph.get_nodes())
    found: Counter[str] = Counter()
    for (operator, name), count in elsewhere.items():
        carrying, bookkeeping = parts.carrying[operator, name], parts.bookkeeping[operator, name]
        if carrying or bookkeeping:
            wrong = min(carrying, max(0, count - bookkeeping))
        else:
            wrong = 0 if operator in _USUAL else count
        if wrong:
            found[operator] += wrong
    return found


def parts_of(graph: bytes) -> GraphParts:
    """What the nodes of a graph are, of the bytes that :func:`read_graph` has checked."""
    walk = _Walk()
    opset = 0
    for number, value in _fields(memoryview(graph)):
        if number == 7:
            walk.graph(_view(value), frozenset())
        elif number == 8:
            fields = dict(_fields(_view(value)))
            if _text(fields.get(1, memoryview(b""))) in ("", "ai.onnx"):
                opset = _number(fields.get(2, 0))
    return GraphParts(walk.carrying, walk.bookkeeping, opset)


class _Walk:
    def __init__(self) -> None:
        self.carrying: Counter[Key] = Counter()
        self.bookkeeping: Counter[Key] = Counter()

    def graph(self, data: memoryview, outer: frozenset[str]) -> bool:
        """Counts the nodes of a graph; ``outer``: names of the graph around it that are bookkeeping. Whether all are.

        Nodes come in order: ONNX asks for it.
        """
        light, constants, nodes = set(outer), {}, []
        for number, value in _fields(data):
            if number == 1:
                nodes.append(_view(value))
            elif number == 5:
                name, small = _constant(_view(value))
                constants[name] = small
            elif number == 11:
                tensor = _value_info(_view(value))
                (light.add if tensor.dtype in _WHOLE else light.discard)(tensor.name)
        for name, small in constants.items():  # which may be listed among the inputs too
            (light.add if small else light.discard)(name)
        own = [self.node(node, light) for node in nodes]
        return all(own)

    def node(self, data: memoryview, light: set[str]) -> bool:
        key, attributes = _operator(data)
        name = ""
        inputs, outputs = [], []
        for number, value in _fields(data):
            if number == 1:
                inputs.append(_text(value))
            elif number == 2:
                outputs.append(_text(value))
            elif number == 3:
                name = _text(value)
        if key == "Constant":
            own = all(_small_attribute(a) for a in attributes)
        else:
            own = key in _OF_SHAPES or (bool(inputs) and all(i in light for i in inputs if i))
            for graph in [_view(v) for a in attributes for n, v in _fields(a) if n in (6, 11)]:
                own &= self.graph(graph, frozenset(light))
        (self.bookkeeping if own else self.carrying)[key, name] += 1
        (light.update if own else light.difference_update)(outputs)
        return own


def _constant(tensor: memoryview) -> tuple[str, bool]:
    """Name of a tensor, and whether it is small: some whole numbers or one number of any other type. A few floats may
    be a whole embedding, of event types for example, and looking one up is the model's work."""
    name, dtype, dims = "", "", []
    for number, value in _fields(tensor):
        if number == 1:
            dims += _numbers(value)
        elif number == 2:
            dtype = _ELEMENT_TYPES.get(_number(value), "")
        elif number == 8:
            name = _text(value)
    return name, prod(dims) <= (_SMALL if dtype in _WHOLE else 1)


def _small_attribute(attribute: memoryview) -> bool:
    for number, value in _fields(attribute):
        if number == 5 and not _constant(_view(value))[1]:
            return False
        if number in (6, 7, 9, 10, 11, 22):  # a graph, floats, texts, tensors, graphs, a sparse tensor
            return False
    return True


def _numbers(value: int | memoryview) -> list[int]:
    """A repeated number, of which one comes alone or all packed."""
    if isinstance(value, int):
        return [value]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers
