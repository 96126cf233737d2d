"""The map between a shop's ids (whole numbers or strings) and the codes 0..n-1 that rows and columns of a matrix have.

A map is a few flat arrays, so that it saves beside a model and can be memory-mapped: nothing is rebuilt at load, and a
look-up reads a few pages. Whole numbers are found by binary search over a sorted permutation. Strings are found by
binary search over sorted 64-bit hashes, and the bytes are compared after that, so that a collision costs time only.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .errors import FormatError, InvalidArgument

__all__ = ["IdMap"]

Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt64Array = npt.NDArray[np.uint64]

_FEW = 16  # ids looked up one by one: the arrays of a look-up of many cost as much as these
_SHORT = 64  # bytes of a string that a table hashes
_EXACT = 1 << 53  # up to here every whole number is a float64
_CHUNK_BYTES = 1 << 22  # bytes hashed at once: bounds the temporaries at about 100 MB


class IdMap:
    """Ids, all int64 or all strings and no two the same, and their codes: the position of each.

    ``ids[codes]`` gives ids, ``ids.codes(ids)`` gives codes, ``id in ids`` asks. A map does not change.
    """

    __slots__ = ("_blob", "_hashes", "_offsets", "_order", "_values")

    _values: Int64Array | None  # the ids of a map of whole numbers
    _blob: UInt8Array  # the ids of a map of strings: UTF-8, one after another
    _offsets: Int64Array  # int64 [n + 1]: where each begins
    _hashes: UInt64Array  # uint64 [n], sorted
    _order: Int64Array | None  # code of each place in sorted order; None where ids already rise

    def __init__(self, ids: Iterable[Any], *, name: str = "ids") -> None:
        """``ids``: a sequence or 1-D array of whole numbers or of strings, in the order of their codes. ``name``: what
        the caller's argument is called in errors."""
        kind, values, blob, offsets = _parse(ids, name)
        if kind == "int":
            self._set_int(values, name)
        else:
            self._set_str(blob, offsets, name)

    @classmethod
    def range(cls, n: int) -> IdMap:
        """The map of the whole numbers 0..n-1 to themselves."""
        return cls(np.arange(n, dtype=np.int64))

    @classmethod
    def from_chunks(cls, chunks: Iterable[Any]) -> IdMap:
        """The map of the ids of all chunks, one after another; only one chunk at a time need lie in memory as str."""
        parts = [_parse(chunk, "ids") for chunk in chunks]
        parts = [p for p in parts if p[1].size or p[3].size > 1]
        kinds = {kind for kind, *_ in parts}
        if len(kinds) > 1:
            raise InvalidArgument("ids: expected all whole numbers or all strings; got chunks of both")
        out = cls.__new__(cls)
        if kinds == {"str"}:
            offsets = np.zeros(sum(p[3].size - 1 for p in parts) + 1, np.int64)
            np.cumsum(np.concatenate([np.diff(p[3]) for p in parts]), out=offsets[1:])
            out._set_str(np.concatenate([p[2] for p in parts]), offsets)
        else:
            out._set_int(np.concatenate([p[1] for p in parts] or [np.empty(0, np.int64)]))
        return out

    # ---- asking ------------------------------------------------------------------------------------------------------
    @property
    def kind(self) -> str:
        """``"int"`` or ``"str"``."""
        return "int" if self._values is not None else "str"

    def __len__(self) -> int:
        return self._values.size if self._values is not None else self._offsets.size - 1

    def __contains__(self, x: object) -> bool:
        try:
            return self._find_one(x, "id") >= 0
        except InvalidArgument:
            return False

    def __getitem__(self, codes: Any) -> Any:
        """The id of one code (int or str), or of many: int64 array, or object array of str."""
        n = len(self)
        if (type(codes) is int or isinstance(codes, np.integer)) and 0 <= codes < n:  # called once a recommendation
            if self._values is not None:
                return self._values.item(codes)
            return self._text(int(codes)).decode()
        raw = np.asarray(codes)
        if raw.dtype.kind not in "iu" and raw.size:
            raise InvalidArgument(f"codes: expected whole numbers from 0 to {n - 1}; got {raw.dtype}")
        a = np.atleast_1d(raw).astype(np.int64)
        if a.size and (a.min() < 0 or a.max() >= n):
            bad = int(a.min()) if a.min() < 0 else int(a.max())
            raise InvalidArgument(f"codes: expected whole numbers from 0 to {n - 1}; got {bad}")
        if self._values is not None:
            return int(self._values[a[0]]) if raw.ndim == 0 else self._values[a]
        starts, ends = self._offsets[a].tolist(), self._offsets[a + 1].tolist()
        out = [bytes(self._blob[b:e]).decode() for b, e in zip(starts, ends, strict=True)]
        if raw.ndim == 0:
            return out[0]
        result = np.empty(len(out), object)
        result[:] = out
        return result

    def to_array(self) -> npt.NDArray[Any]:
        """All ids in the order of their codes: int64 array, or object array of str."""
        return cast(npt.NDArray[Any], self[np.arange(len(self))])

    def code(self, x: Any, name: str = "id") -> int:
        """The code of one id; an unknown one raises. ``name``: what the caller's argument is called in errors."""
        found = self._find_one(x, name)
        if found < 0:
            raise self._unknown(name, x)
        return found

    def codes(self, ids: Any, *, missing: int | None = None, name: str = "ids") -> Int64Array:
        """The codes, int64, of a sequence of ids or of another :class:`IdMap`.

        An unknown id gives ``missing`` or, where that is None, raises. A map of whole numbers also takes them as text
        ("17850"), as they come from a command line; a map of strings takes strings only. Where one map holds numbers
        and the other text, as two files of one shop may, the numbers are compared by their text. Whole
        floats (17850.0, as pandas makes of a column with gaps) are taken as whole numbers. ``name``: what the caller's
        argument is called in errors.
        """
        if type(ids) is list and 0 < len(ids) <= _FEW:
            few = [self._find_one(x, name) for x in ids]
            if -1 in few:
                if missing is None:
                    raise self._unknown(name, ids[few.index(-1)], few.count(-1))
                few = [missing if c < 0 else c for c in few]
            return np.array(few, np.int64)
        if isinstance(ids, IdMap):
            if ids.kind == "int" and self.kind == "str":
                return self.codes(list(map(str, ids.to_array().tolist())), missing=missing, name=name)
            kind, values = ids.kind, ids._values if ids._values is not None else np.empty(0, np.int64)
            blob, offsets = (ids._blob, ids._offsets) if kind == "str" else (_NO_BYTES, _ONE_ZERO)
        else:
            kind, values, blob, offsets = _parse(ids, name, empty=self.kind, floats=True)
        if self._values is not None:
            found = self._find_int(values) if kind == "int" else self._find_int_text(blob, offsets)
        elif kind == "str":
            found = self._find_str(blob, offsets)
        elif values.size == 0:
            found = np.empty(0, np.int64)
        else:
            raise self._needs_text(name, values[0])
        absent = found < 0
        if absent.any():
            if missing is None:
                at = int(np.argmax(absent))
                lost = int(values[at]) if kind == "int" else bytes(blob[offsets[at] : offsets[at + 1]]).decode()
                raise self._unknown(name, lost, int(absent.sum()))
            found[absent] = missing
        return found

    def take(self, codes: Any) -> IdMap:
        """A new map of the ids with these codes, in this order (no code twice)."""
        a = np.ascontiguousarray(codes, np.int64)
        out = IdMap.__new__(IdMap)
        if self._values is not None:
            out._set_int(self._values[a])
            return out
        starts = self._offsets[a]
        lengths = self._offsets[a + 1] - starts
        offsets = np.zeros(a.size + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        blob = np.empty(offsets[-1], np.uint8)
        for lo, hi in _chunks(offsets):
            part = slice(int(offsets[lo]), int(offsets[hi]))
            shift = np.repeat(starts[lo:hi] - offsets[lo:hi], lengths[lo:hi])
            blob[part] = self._blob[np.arange(part.start, part.stop) + shift]
        out._set_str(blob, offsets)
        return out

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        if self.kind != other.kind or len(self) != len(other):
            return False
        if self._values is not None:
            return np.array_equal(self._values, cast(Int64Array, other._values))
        return np.array_equal(self._offsets, other._offsets) and np.array_equal(self._blob, other._blob)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        n = len(self)
        first = ", ".join(repr(self[i]) for i in range(min(n, 3)))
        return f"IdMap({n} {'numbers' if self.kind == 'int' else 'strings'}: {first}{', ...' if n > 3 else ''})"

    # ---- saving ------------------------------------------------------------------------------------------------------
    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """A JSON-ready description and plain numeric arrays, from which :meth:`from_parts` makes the same map."""
        if self._values is not None:
            arrays: dict[str, npt.NDArray[Any]] = {"values": self._values}
            if self._order is not None:
                arrays["order"] = self._order
        else:
            assert self._order is not None
            arrays = {"blob": self._blob, "offsets": self._offsets, "hashes": self._hashes, "order": self._order}
        return {"kind": self.kind, "count": len(self)}, arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> IdMap:
        """The map that :meth:`to_parts` described; memory-mapped arrays stay where they are."""
        kind, n = meta.get("kind"), meta.get("count")
        types = {"int": {"values": "<i8"}, "str": {"blob": "|u1", "offsets": "<i8", "hashes": "<u8", "order": "<i8"}}
        if kind not in types or not isinstance(n, int):
            raise FormatError(f"id map: expected kind 'int' or 'str' and a count; got {meta}")
        for name, dtype in types[kind].items():
            if name not in arrays or arrays[name].dtype != np.dtype(dtype) or arrays[name].ndim != 1:
                raise FormatError(
                    f"id map: expected the array {name!r}, 1-D {np.dtype(dtype)}; got {_shape_of(arrays, name)}"
                )
        order = arrays.get("order")
        out = cls.__new__(cls)
        out._values, out._order = (arrays["values"] if kind == "int" else None), order
        out._blob, out._offsets = arrays.get("blob", _NO_BYTES), arrays.get("offsets", _ONE_ZERO)
        out._hashes = arrays.get("hashes", _NO_HASHES)
        whole = len(out) == n and (order is None or (order.dtype == np.int64 and order.size == n))
        if kind == "str":
            whole = whole and out._hashes.size == n and int(out._offsets[-1]) == out._blob.size
        if not whole:
            raise FormatError(f"id map: the arrays do not hold {n} ids each; the files do not belong together")
        return out

    # ---- building and finding ----------------------------------------------------------------------------------------
    def _set_int(self, values: Int64Array, name: str = "ids") -> None:
        rising = bool(np.all(values[1:] > values[:-1]))
        order = None if rising else np.argsort(values, kind="stable").astype(np.int64)
        if order is not None:
            twice = np.flatnonzero(values[order][1:] == values[order][:-1])
            if twice.size:
                raise _comes_twice(name, int(values[order[twice[0]]]))
        self._values, self._order = values, order
        self._blob, self._offsets, self._hashes = _NO_BYTES, _ONE_ZERO, _NO_HASHES

    def _set_str(self, blob: UInt8Array, offsets: Int64Array, name: str = "ids") -> None:
        hashes = _hash(blob, offsets)
        order = np.argsort(hashes, kind="stable").astype(np.int64)
        self._values, self._order = None, order
        self._blob, self._offsets, self._hashes = blob, offsets, hashes[order]
        # Where hashes meet (rare unless an id comes twice), the ids themselves are compared.
        meets = np.flatnonzero(self._hashes[1:] == self._hashes[:-1])
        seen: dict[bytes, int] = {}
        for at in np.union1d(meets, meets + 1).tolist():
            code = int(order[at])
            text = bytes(blob[offsets[code] : offsets[code + 1]])
            if text in seen:
                raise _comes_twice(name, text.decode())
            seen[text] = code

    def _unknown(self, name: str, x: Any, count: int = 1) -> InvalidArgument:
        known = f"one of the {len(self)} known, such as {self[0]!r}" if len(self) else "nothing, the map is empty"
        x = x if isinstance(x, str) else int(x)
        return InvalidArgument(f"{name}: {x!r} is unknown ({count} such); expected {known}")

    def _needs_text(self, name: str, x: Any) -> InvalidArgument:
        holds = (
            f"holds strings such as {self[0]!r}; got the number {x}; pass strings"
            if len(self)
            else (f"is empty and holds strings; got the number {x}")
        )
        return InvalidArgument(f"{name}: this map {holds}")

    def _text(self, code: int) -> bytes:
        return self._blob[self._offsets.item(code) : self._offsets.item(code + 1)].tobytes()

    def _find_one(self, x: Any, name: str) -> int:
        """The code of one id, -1 for an unknown one: the same answers as for many, without arrays."""
        if not isinstance(x, str):
            x = _whole(x, name)
            if self._values is None:
                raise self._needs_text(name, x)
        elif self._values is not None:
            if not (x.isascii() and x.removeprefix("-").isdigit() and len(x) <= 20 and str(int(x)) == x):
                return -1
            x = int(x)
        n = len(self)
        if self._values is not None:
            if not -(1 << 63) <= x < 1 << 63:
                return -1
            at = int(self._values.searchsorted(x, sorter=self._order))
            if at == n:
                return -1
            code = at if self._order is None else self._order.item(at)
            return code if self._values.item(code) == x else -1
        try:
            raw = x.encode()
        except UnicodeEncodeError:
            raise InvalidArgument(f"{name}: {x!r} is not valid Unicode (a lone surrogate)") from None
        order, wanted = cast(Int64Array, self._order), _hash_one(raw)
        at = int(self._hashes.searchsorted(np.uint64(wanted)))
        while at < n and self._hashes.item(at) == wanted:
            code = order.item(at)
            if self._text(code) == raw:
                return code
            at += 1
        return -1

    def _find_int(self, wanted: Int64Array) -> Int64Array:
        values = cast(Int64Array, self._values)
        if values.size == 0:
            return np.full(wanted.size, -1, np.int64)
        at = np.searchsorted(values, wanted, sorter=self._order)
        np.minimum(at, values.size - 1, out=at)
        codes = at if self._order is None else self._order[at]
        return np.where(values[codes] == wanted, codes, -1).astype(np.int64)

    def _find_int_text(self, blob: UInt8Array, offsets: Int64Array) -> Int64Array:
        texts = [bytes(blob[b:e]) for b, e in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
        numbers = [int(t) if t.removeprefix(b"-").isdigit() and len(t) <= 20 else None for t in texts]
        # Only the one way to write a number counts: "007" is not 7.
        fits = [
            v is not None and str(v).encode() == t and -(1 << 63) <= v < 1 << 63
            for v, t in zip(numbers, texts, strict=True)
        ]
        wanted = np.array([v if ok else 0 for v, ok in zip(numbers, fits, strict=True)], np.int64)
        return np.where(np.array(fits, bool), self._find_int(wanted), -1).astype(np.int64)

    def _find_str(self, blob: UInt8Array, offsets: Int64Array) -> Int64Array:
        n, found = len(self), np.full(offsets.size - 1, -1, np.int64)
        order = cast(Int64Array, self._order)
        wanted = _hash(blob, offsets)
        lengths = np.diff(offsets)
        at = np.searchsorted(self._hashes, wanted)
        open_ = np.arange(wanted.size)  # queries that may still be found; more than one round only where hashes meet
        while open_.size:
            open_ = open_[at[open_] < n]
            open_ = open_[self._hashes[at[open_]] == wanted[open_]]
            codes = order[at[open_]]
            same = self._offsets[codes + 1] - self._offsets[codes] == lengths[open_]
            pairs = open_[same], codes[same]
            equal = np.zeros(open_.size, bool)
            equal[same] = _equal_bytes(blob, offsets[pairs[0]], self._blob, self._offsets[pairs[1]], lengths[pairs[0]])
            found[open_[equal]] = codes[equal]
            open_ = open_[~equal]
            at[open_] += 1
        return found


_NO_BYTES = np.empty(0, np.uint8)
_NO_HASHES = np.empty(0, np.uint64)
_ONE_ZERO = np.zeros(1, np.int64)


def _shape_of(arrays: dict[str, npt.NDArray[Any]], name: str) -> str:
    return f"{arrays[name].dtype} of shape {arrays[name].shape}" if name in arrays else "none"


def _comes_twice(name: str, x: int | str) -> InvalidArgument:
    return InvalidArgument(f"{name}: expected each id once; {x!r} comes twice; leave one of them out")


def _whole(x: Any, name: str) -> int:
    """A whole number (also one that came as a float, as long as that is exact) as int."""
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        n = int(x)
        return n if _fits([n]) else _refuse_big([n], name)
    if isinstance(x, (float, np.floating)) and abs(float(x)) <= _EXACT and float(x).is_integer():
        return int(x)
    raise InvalidArgument(f"{name}: expected a whole number or a string; got {type(x).__name__} {x!r}")


def _parse(
    ids: Any, name: str, empty: str = "int", floats: bool = False
) -> tuple[str, Int64Array, UInt8Array, Int64Array]:
    """("int", values, -, -) or ("str", -, blob, offsets) from a sequence of whole numbers or strings."""
    if isinstance(ids, (str, bytes)):
        raise InvalidArgument(f"{name}: expected a sequence of ids; got one, {ids!r}; use [{ids!r}]")
    if not isinstance(ids, Iterable) and not hasattr(ids, "__array__"):
        raise InvalidArgument(f"{name}: expected a sequence of ids; got {type(ids).__name__} {ids!r}")
    a = ids if isinstance(ids, np.ndarray) else None
    if a is None and hasattr(ids, "__array__"):
        a = np.asarray(ids)
    if a is None:
        ids = list(ids)
        if ids and not isinstance(ids[0], str):
            a = np.array(ids, dtype=object) if any(isinstance(x, (str, bool)) for x in ids) else np.asarray(ids)
    if a is not None:
        if a.ndim != 1:
            raise InvalidArgument(f"{name}: expected a 1-D sequence; got shape {a.shape}")
        if a.dtype.kind in "iu":
            if a.dtype == np.uint64 and a.size and int(a.max()) >= 1 << 63:
                raise InvalidArgument(f"{name}: expected whole numbers below 2**63; got {int(a.max())}; use strings")
            return "int", np.array(a, np.int64), _NO_BYTES, _ONE_ZERO
        if floats and a.dtype.kind == "f":
            wrong = ~((np.abs(a) <= _EXACT) & (a == np.floor(a)))
            if wrong.any():
                _whole(a[wrong][0], name)
            return "int", a.astype(np.int64), _NO_BYTES, _ONE_ZERO
        if a.dtype.kind not in "OUT" and a.size:
            raise InvalidArgument(f"{name}: expected whole numbers or strings; got {a.dtype}, such as {a[0]!r}")
        ids = a.tolist()
        if floats and any(isinstance(x, float) for x in ids):  # objects, some of them whole floats
            ids = [x if isinstance(x, str) else _whole(x, name) for x in ids]
        if ids and all(isinstance(x, int) and not isinstance(x, bool) for x in ids):
            return _parse(np.array(ids), name) if _fits(ids) else _refuse_big(ids, name)
    if not ids:
        return empty, np.empty(0, np.int64), _NO_BYTES, _ONE_ZERO
    try:
        encoded = list(map(str.encode, ids))
    except TypeError:
        bad = next(x for x in ids if not isinstance(x, str))
        raise InvalidArgument(
            f"{name}: expected all whole numbers or all strings; got {type(bad).__name__} {bad!r} among strings"
        ) from None
    except UnicodeEncodeError as e:
        raise InvalidArgument(f"{name}: {e.object!r} is not valid Unicode (a lone surrogate)") from None
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    return "str", np.empty(0, np.int64), np.frombuffer(b"".join(encoded), np.uint8), offsets


def _fits(ids: list[int]) -> bool:
    return min(ids) >= -(1 << 63) and max(ids) < 1 << 63


def _refuse_big(ids: list[int], name: str) -> Any:
    raise InvalidArgument(f"{name}: expected whole numbers of 64 bits; got {max(ids, key=abs)}; use strings")


def _chunks(offsets: Int64Array) -> Iterable[tuple[int, int]]:
    """Ranges of strings of about ``_CHUNK_BYTES`` together (one longer string is a range of its own)."""
    lo, n = 0, offsets.size - 1
    while lo < n:
        hi = max(lo + 1, int(np.searchsorted(offsets, offsets[lo] + _CHUNK_BYTES, side="right")) - 1)
        yield lo, hi
        lo = hi


def _hash(blob: UInt8Array, offsets: Int64Array) -> UInt64Array:
    """A 64-bit hash of each string: the sum over its bytes of splitmix64(256 * position + byte).

    The finaliser is splitmix64's (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
    2014). It is part of the saved format: a change needs a new format version.
    """
    out = np.zeros(offsets.size - 1, np.uint64)
    for lo, hi in _chunks(offsets):
        begin, end = int(offsets[lo]), int(offsets[hi])
        position = np.arange(begin, end) - np.repeat(offsets[lo:hi], np.diff(offsets[lo : hi + 1]))
        z = (position.astype(np.uint64) << np.uint64(8)) + blob[begin:end] + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        sums = np.zeros(end - begin + 1, np.uint64)
        np.cumsum(z ^ (z >> np.uint64(31)), out=sums[1:])
        ends = offsets[lo : hi + 1] - begin
        out[lo:hi] = sums[ends[1:]] - sums[ends[:-1]]
    return out


@cache
def _mixed() -> list[list[int]]:
    """What :func:`_hash` adds for each of the first positions and each byte."""
    sums = np.zeros((256, _SHORT + 1), np.uint64)
    for length in range(1, _SHORT + 1):  # the hash of `length` equal bytes, for each byte; neighbours differ by one
        offsets = np.arange(257) * length
        sums[:, length] = _hash(np.repeat(np.arange(256, dtype=np.uint8), length), offsets)
    return np.diff(sums).T.tolist()  # type: ignore[no-any-return]


def _hash_one(text: bytes) -> int:
    """:func:`_hash` of one string."""
    if len(text) > _SHORT:
        return int(_hash(np.frombuffer(text, np.uint8), np.array([0, len(text)]))[0])
    return sum([row[byte] for row, byte in zip(_mixed(), text, strict=False)]) & 0xFFFFFFFFFFFFFFFF


def _equal_bytes(
    a: UInt8Array, a_starts: Int64Array, b: UInt8Array, b_starts: Int64Array, lengths: Int64Array
) -> npt.NDArray[np.bool_]:
    """For each pair of strings of equal length: are they the same?"""
    out = np.ones(lengths.size, bool)
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    for lo, hi in _chunks(offsets):
        position = np.arange(offsets[lo], offsets[hi]) - np.repeat(offsets[lo:hi], lengths[lo:hi])
        same = (
            a[position + np.repeat(a_starts[lo:hi], lengths[lo:hi])]
            == b[position + np.repeat(b_starts[lo:hi], lengths[lo:hi])]
        )
        wrong = np.zeros(same.size + 1, np.int64)
        np.cumsum(~same, out=wrong[1:])
        ends = offsets[lo : hi + 1] - offsets[lo]
        out[lo:hi] = wrong[ends[1:]] == wrong[ends[:-1]]
    return out
