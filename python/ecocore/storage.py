"""The one module that knows file formats: a model is a folder of plain arrays with a manifest, and no pickle.

::

    model/
      manifest.json                         format, version, kind, metadata; size and sha256 of every array
      item_factors-3f9a0c1be45d7712.npy     little endian, C order; the suffix is the head of the file's sha256

A save is atomic. Array files are named after their content, so a new model never touches the files of the old one;
the manifest is written beside and renamed, which is the moment the new model exists; then files that no manifest names
are removed. A crash at any point leaves the old or the new model. Readers that have mapped old files keep them, and
writers to one folder take turns (``flock`` on the folder).

A folder is input like any other: nothing in it is trusted before it is checked, and every size is compared with the
file's before memory is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import describe
from .errors import FormatError, InvalidArgument

__all__ = ["check_target", "file_hashes", "read_folder", "read_hashed_folder", "read_manifest", "write_folder"]

FORMAT = "ecocore"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"

_MAX_MANIFEST_BYTES = 64 << 20  # large data belongs into arrays
_DTYPE_KINDS = "biufSUMm"  # bool, integers, floats, fixed-width text, times: no objects, no structures
_DTYPE = re.compile(rf"[<|][{_DTYPE_KINDS}][0-9]{{1,9}}(\[[0-9a-zA-Z]{{1,20}}\])?")
_NAME = re.compile(r"(?!\.)[A-Za-z0-9_.]{1,100}")  # a dot parts an object from its owner
_KIND = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_ARRAY_FILE = re.compile(r"(?!\.)[A-Za-z0-9_.]{1,100}-[0-9a-f]{16}\.npy")
_TEMPORARY = re.compile(r"\.[A-Za-z0-9_.]+-[0-9a-f]{16}\.tmp")
_LONGEST_HEADER = 10_000  # bytes; NumPy writes 128
_NPY_HEADER = re.compile(
    r"\{'descr': '(?P<descr>[^']{1,40})', 'fortran_order': (?P<fortran>True|False),"
    r" 'shape': \((?P<shape>(?:\d{1,19}(?:, ?\d{1,19})*,?)?)\)(?:, )?\}\s*"
)
_READ_ATTEMPTS = 100  # each one means that another save was committed since the last

Array = npt.NDArray[Any]
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def _as_path(path: Any) -> Path:
    """InvalidArgument for what is neither text nor path-like."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgument(f"path: expected a path, as text or pathlib.Path; got {describe(path)}")
    return Path(path)


def write_folder(
    path: str | os.PathLike[str], kind: str, meta: Mapping[str, Json], arrays: Mapping[str, Array]
) -> None:
    """Saves ``meta`` (anything JSON can hold) and named ``arrays`` as the folder ``path``, replacing a model of the
    same kind that is there.

    Raises InvalidArgument for what cannot be stored and for a path that is a file, a folder of something else, or a
    model of another kind; OSError when the disk is full or refuses. In either case what was there before is unchanged.
    """
    folder = _as_path(path)
    if not _KIND.fullmatch(kind):
        raise InvalidArgument(f"kind: expected letters, digits, '_', '-' or '.'; got {kind!r}")
    _check_json(meta, "meta")
    ready = {name: _storable(name, array) for name, array in arrays.items()}
    try:
        _make_folder(folder)
        with _locked(folder) as fd:
            _check_ours(fd, folder, kind)
            _commit(fd, kind, meta, ready)
    except OSError as e:
        raise OSError(
            e.errno, f"could not save the model ({e.strerror}); a model that was there before is whole", str(folder)
        ) from e


def check_target(path: str | os.PathLike[str], kind: str) -> None:
    """Raises what :func:`write_folder` would raise for this path, before the work whose result it is to hold is done.
    Nothing is made or changed."""
    folder = _as_path(path)
    if folder.is_dir():
        with _opened(folder) as fd:
            _check_ours(fd, folder, kind)
        if not os.access(folder, os.W_OK):
            raise InvalidArgument(f"path: {folder} may not be written to; choose another path")
    elif os.path.lexists(folder):
        raise InvalidArgument(f"path: expected a folder or a new name; {folder} is a file; choose another path")
    else:
        parent = next((p for p in folder.absolute().parents if p.is_dir()), None)
        if parent is None or not os.access(parent, os.W_OK):
            raise InvalidArgument(f"path: {folder} cannot be made, since {parent} may not be written to")


def read_folder(
    path: str | os.PathLike[str], kind: str, *, mmap: bool = True, verify: bool = False
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The ``(meta, arrays)`` of a folder that :func:`write_folder` made.

    With ``mmap`` the arrays are read-only views of the files, loaded as they are touched and shared between processes;
    otherwise they are read into memory. Sizes, dtypes and shapes are always checked; ``verify`` also compares the
    sha256 of every file, which reads all of it. Raises FormatError, which names the file, for anything unexpected.
    """
    meta, arrays, _ = read_hashed_folder(path, kind, mmap=mmap, verify=verify)
    return meta, arrays


def read_hashed_folder(
    path: str | os.PathLike[str], kind: str, *, mmap: bool = True, verify: bool = False
) -> tuple[dict[str, Any], dict[str, Array], dict[str, str]]:
    """As :func:`read_folder`, and the sha256 of every array's file by the array's name, all from one manifest: a second
    reading of it could already be of another model."""
    folder = _as_path(path)
    seen: object = None
    for _ in range(_READ_ATTEMPTS):
        with _opened(folder) as fd:
            manifest = _load_manifest(fd, folder)
            if manifest.kind != kind:
                raise FormatError(
                    f"{folder / MANIFEST}: expected a model of kind {kind!r}; got {manifest.kind!r};"
                    " load it with the class that saved it"
                )
            try:
                arrays = {e.name: _load_array(fd, folder, e, mmap, verify) for e in manifest.entries}
                return manifest.meta, arrays, {e.name: e.sha256 for e in manifest.entries}
            except FileNotFoundError as e:
                # Either a save was committed after the manifest was read, and its newer manifest names other files,
                # or the file is truly gone.
                if manifest.identity == seen:
                    raise FormatError(
                        f"{folder / str(e.filename)}: the manifest names this file, but it is missing; copy the folder"
                        " again as a whole, or save the model again"
                    ) from None
                seen = manifest.identity
    raise FormatError(f"{folder}: the model was replaced {_READ_ATTEMPTS} times while it was being read; try again")


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model folder says of itself: ``kind``, ``ecocore`` (the version that wrote it), ``format_version``,
    ``meta``, and ``arrays`` with dtype, shape and bytes of each. No array is opened."""
    folder = _as_path(path)
    with _opened(folder) as fd:
        return _load_manifest(fd, folder).raw


def file_hashes(arrays: Mapping[str, Array]) -> dict[str, str]:
    """The sha256 that the file of each array would have in a folder."""
    out = {}
    for name, array in arrays.items():
        file = _Digest()
        np.lib.format.write_array(file, _storable(name, array), allow_pickle=False)
        out[name] = file.sha256.hexdigest()
    return out


# ---- writing ---------------------------------------------------------------------------------------------------


def _check_json(value: object, where: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(f"{where}: expected text keys; got {key!r}; use str(key)")
            _check_json(inner, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            _check_json(inner, f"{where}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidArgument(f"{where}: expected a finite number; got {value}; use None for 'no value'")
    elif not (value is None or type(value) in (bool, int, float, str)):
        raise InvalidArgument(
            f"{where}: expected None, bool, int, float, str, list or dict; got {type(value).__name__};"
            " convert NumPy scalars with .item(), and store arrays as arrays"
        )


def _storable(name: str, array: object) -> Array:
    """The array as it will lie in the file: little endian and in C order, copied only if it is not so already."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise InvalidArgument(f"arrays: expected names of letters, digits, '_' and '.'; got {name!r}")
    a = np.asarray(array)
    if a.dtype.kind not in _DTYPE_KINDS:
        raise InvalidArgument(
            f"arrays[{name!r}]: expected numbers, fixed-width text or times; got dtype {a.dtype};"
            " convert it first, e.g. with .astype(str)"
        )
    return np.asarray(a, a.dtype.newbyteorder("<"), order="C")


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if os.path.lexists(folder):
        raise InvalidArgument(f"path: expected a folder or a new name; {folder} is a file; choose another path")
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder.parent) as parent:
        _sync_names(parent)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of the folder: names are looked up in it, so that nothing changes when the path is re-linked."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FormatError(f"{folder}: no such folder; check the path") from None
    except NotADirectoryError:
        raise FormatError(f"{folder}: expected a model folder; got a file; give the folder that was saved") from None
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    with _opened(folder) as fd:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as e:
            if e.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
                raise
            # A file system without locks: a single writer is as safe there; only two at once are not.
        try:
            yield fd
        finally:
            # A process forked meanwhile holds the lock as well until it is undone by name.
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)


def _sync_names(folder_fd: int) -> None:
    """Puts renames on disk. Some network file systems cannot, and say so by EINVAL; they order them on their own."""
    try:
        os.fsync(folder_fd)
    except OSError as e:
        if e.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _is_leftover(name: str) -> bool:
    return bool(_ARRAY_FILE.fullmatch(name) or _TEMPORARY.fullmatch(name))


def _check_ours(fd: int, folder: Path, kind: str) -> None:
    """Refuses to save into a folder that holds something else. Remains of a first save that was cut off are ours."""
    names = os.listdir(fd)
    if MANIFEST not in names:
        strange = sorted(name for name in names if not _is_leftover(name))
        if strange:
            raise InvalidArgument(
                f"path: expected a new, an empty or an ecocore model folder; {folder} holds other files"
                f" ({strange[0]!r}); choose another path"
            )
        return
    try:
        raw = _parse_manifest(fd, folder)[0]
    except FormatError as e:
        raise InvalidArgument(f"path: {folder} is not an ecocore model folder ({e}); choose another path") from None
    if raw.get("kind") != kind:
        raise InvalidArgument(
            f"path: {folder} holds a model of kind {raw.get('kind')!r}, which saving {kind!r} would destroy;"
            " choose another path or remove that folder first"
        )


class _Digest:
    """A binary file that is nowhere: it only hashes what is written to it."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.sha256.update(block)
        return len(block)


class _Hashing(_Digest):
    """A binary file that hashes and counts what is written to it."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self.bytes = 0

    def write(self, block: bytes) -> int:
        super().write(block)
        self.bytes += len(block)
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self.fd, rest) :]
        return len(block)


@contextlib.contextmanager
def _temporary(fd: int, name: str) -> Iterator[tuple[_Hashing, str]]:
    """A new file under a temporary name, on disk when the block ends; gone if the block fails."""
    temporary = f".{name}-{secrets.token_hex(8)}.tmp"
    out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=fd)
    try:
        try:
            file = _Hashing(out)
            yield file, temporary
        finally:
            os.close(out)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=fd)
        raise


def _commit(fd: int, kind: str, meta: Mapping[str, Json], arrays: Mapping[str, Array]) -> None:
    before = set(os.listdir(fd))
    entries: dict[str, dict[str, Json]] = {}
    try:
        for name, array in arrays.items():
            with _temporary(fd, name) as (file, temporary):
                np.lib.format.write_array(file, array, allow_pickle=False)
                os.fsync(file.fd)
                sha256 = file.sha256.hexdigest()
                entries[name] = {
                    "file": f"{name}-{sha256[:16]}.npy",
                    "dtype": array.dtype.str,
                    "shape": list(array.shape),
                    "bytes": file.bytes,
                    "sha256": sha256,
                }
                os.rename(temporary, str(entries[name]["file"]), src_dir_fd=fd, dst_dir_fd=fd)
        _sync_names(fd)  # the names above are on disk before a manifest speaks of them
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "kind": kind,
            "ecocore": _core.__version__,
            "meta": dict(meta),
            "arrays": entries,
        }
        text = (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()
        if len(text) > _MAX_MANIFEST_BYTES:
            raise InvalidArgument(
                f"meta: expected at most {_MAX_MANIFEST_BYTES} bytes of JSON; got {len(text)};"
                " store large data as arrays"
            )
        with _temporary(fd, MANIFEST) as (file, temporary):
            file.write(text)
            os.fsync(file.fd)
            os.rename(temporary, MANIFEST, src_dir_fd=fd, dst_dir_fd=fd)  # from here on, the new model
    except BaseException:
        _remove_leftovers(fd, keep=before)
        raise
    _sync_names(fd)
    _remove_leftovers(fd, keep={str(e["file"]) for e in entries.values()})


def _remove_leftovers(fd: int, keep: set[str]) -> None:
    for name in os.listdir(fd):
        if name not in keep and _is_leftover(name):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)


# ---- reading ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    name: str
    file: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    raw: dict[str, Any]
    kind: str
    meta: dict[str, Any]
    entries: list[_Entry]
    identity: tuple[int, int, int]  # changes with every save


@contextlib.contextmanager
def _regular_file(fd: int, folder: Path, name: str) -> Iterator[BufferedReader]:
    """Opens a plain file of the folder; links are refused, because they may lead out of it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        opened = os.open(name, flags, dir_fd=fd)
    except FileNotFoundError as e:
        raise FileNotFoundError(e.errno, e.strerror, name) from None
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise FormatError(
                f"{folder / name}: expected a file; got a symbolic link, which may lead out of the folder;"
                " replace it by the file itself"
            ) from None
        raise
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise FormatError(f"{folder / name}: expected a plain file; got something else (a folder, a pipe?)")
        yield file


def _not_json_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _parse_manifest(fd: int, folder: Path) -> tuple[dict[str, Any], tuple[int, int, int]]:
    """The manifest as JSON, known to be one of ecocore's; nothing else in it is checked yet."""
    where = folder / MANIFEST
    try:
        with _regular_file(fd, folder, MANIFEST) as file:
            status = os.fstat(file.fileno())
            if status.st_size > _MAX_MANIFEST_BYTES:
                raise FormatError(f"{where}: expected at most {_MAX_MANIFEST_BYTES} bytes; got {status.st_size}")
            text = file.read(_MAX_MANIFEST_BYTES)
    except FileNotFoundError:
        raise FormatError(
            f"{where}: missing, so this is not a saved ecocore model (or its first save never finished);"
            " give the folder that a model's save() wrote"
        ) from None
    try:
        raw = json.loads(text, parse_constant=_not_json_number)
    except (ValueError, RecursionError) as e:
        raise FormatError(
            f"{where}: expected JSON; got something else, or a file cut short ({e}); copy or save the model again"
        ) from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise FormatError(f'{where}: expected a manifest with "format": {FORMAT!r}; this folder is not ecocore\'s')
    return raw, (status.st_ino, status.st_mtime_ns, status.st_size)


def _load_manifest(fd: int, folder: Path) -> _Manifest:
    raw, identity = _parse_manifest(fd, folder)
    where = folder / MANIFEST
    version = raw.get("format_version")
    if type(version) is not int or version < 1:
        raise FormatError(f"{where}: expected a whole format_version of at least 1; got {version!r}")
    if version > FORMAT_VERSION:
        raise FormatError(
            f"{where}: written by a newer ecocore ({raw.get('ecocore')}): format {version}, this one"
            f" ({_core.__version__}) reads up to {FORMAT_VERSION}; upgrade with: pip install -U ecocore"
        )
    kind, meta, arrays = raw.get("kind"), raw.get("meta"), raw.get("arrays")
    if not isinstance(kind, str) or not isinstance(meta, dict) or not isinstance(arrays, dict):
        raise FormatError(f"{where}: expected 'kind' (text), 'meta' and 'arrays' (objects); save the model again")
    return _Manifest(raw, kind, meta, [_entry(where, name, value) for name, value in arrays.items()], identity)


def _entry(where: Path, name: str, value: object) -> _Entry:
    def check(ok: bool, field: str, expected: str, got: object) -> None:
        if not ok:
            raise FormatError(f"{where}: arrays[{name!r}].{field}: expected {expected}; got {got!r}")

    check(_NAME.fullmatch(name) is not None, "name", "letters, digits, '_' and '.'", name)
    if not isinstance(value, dict):
        raise FormatError(f"{where}: arrays[{name!r}]: expected an object; got {value!r}")
    file, dtype_text, shape, size, sha256 = (value.get(k) for k in ("file", "dtype", "shape", "bytes", "sha256"))
    check(
        isinstance(file, str) and _ARRAY_FILE.fullmatch(file) is not None,
        "file",
        "a plain name such as 'x-0123456789abcdef.npy' without folders",
        file,
    )
    check(
        isinstance(sha256, str)
        and re.fullmatch(r"[0-9a-f]{64}", sha256) is not None
        and sha256[:16] == str(file)[-20:-4],
        "sha256",
        "64 hexadecimal digits that begin as the file's name ends",
        sha256,
    )
    try:
        dtype = np.dtype(dtype_text) if isinstance(dtype_text, str) and _DTYPE.fullmatch(dtype_text) else None
    except (TypeError, ValueError):
        dtype = None
    if dtype is None or dtype.str != dtype_text:
        raise FormatError(
            f"{where}: arrays[{name!r}].dtype: expected a little-endian number, text or time type such as '<f4';"
            f" got {dtype_text!r}"
        )
    check(
        isinstance(shape, list)
        and len(shape) <= 32
        and all(type(n) is int and n >= 0 for n in shape)
        and math.prod(max(n, 1) for n in shape) * max(dtype.itemsize, 1) < 2**63,
        "shape",
        "at most 32 whole numbers whose product can be addressed",
        shape,
    )
    check(type(size) is int and size >= 0, "bytes", "a whole number", size)
    return _Entry(name, str(file), dtype, tuple(shape or ()), size or 0, str(sha256))


def _load_array(fd: int, folder: Path, entry: _Entry, mmap: bool, verify: bool) -> Array:
    where = folder / entry.file
    with _regular_file(fd, folder, entry.file) as file:
        size = os.fstat(file.fileno()).st_size
        if size != entry.bytes:
            how = "cut short" if size < entry.bytes else "too long"
            raise FormatError(f"{where}: {how}: expected {entry.bytes} bytes; got {size}; copy or save the model again")
        try:
            shape, fortran_order, dtype = _npy_header(file)
        except OSError:
            raise
        except Exception as e:  # what the header's parser raises on hostile bytes is not a closed list
            raise FormatError(
                f"{where}: expected a .npy file; its header cannot be read ({e}); save the model again"
            ) from None
        if (dtype, shape, fortran_order) != (entry.dtype, entry.shape, False) or dtype.hasobject:
            order = "Fortran" if fortran_order else "C"
            raise FormatError(
                f"{where}: expected {entry.dtype} of shape {entry.shape} in C order, as the manifest says;"
                f" got {dtype} of shape {shape} in {order} order"
            )
        start = file.tell()
        payload = math.prod(shape) * dtype.itemsize  # Python integers: a product of hostile sizes cannot wrap round
        if start + payload != size:
            raise FormatError(
                f"{where}: expected {payload} bytes of values ({dtype} of shape {shape}); got {size - start}"
            )
        if verify:
            file.seek(0)
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != entry.sha256:
                raise FormatError(
                    f"{where}: the content was altered: expected sha256 {entry.sha256}; got {found};"
                    " copy or save the model again"
                )
        if payload == 0:
            array: Array = np.empty(shape, dtype)
        elif mmap:
            # A plain read-only array on top of the mapping, which lives as long as the array does.
            return np.asarray(np.memmap(file, dtype, "r", start, shape))
        else:
            array = np.empty(shape, dtype)
            file.seek(start)
            got = file.readinto(array.reshape(-1).view(np.uint8).data)
            if got != payload:
                raise FormatError(f"{where}: the file became shorter while it was read; try again")
        if mmap:
            array.flags.writeable = False
        return array


def _npy_header(file: BufferedReader) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """What stands before the numbers, as NumPy's formats 1.0 and 2.0 write it. NumPy itself reads it with Python's
    parser, which fails now and then where several threads use it (CPython issue 106905, mended in 3.11.8)."""
    size, form = {(1, 0): (2, "<H"), (2, 0): (4, "<I")}[np.lib.format.read_magic(file)]
    (length,) = struct.unpack(form, file.read(size))
    if length > _LONGEST_HEADER:
        raise ValueError(f"it is {length} bytes long")
    m = _NPY_HEADER.fullmatch(file.read(length).decode("latin-1"))
    if m is None:
        raise ValueError("not what NumPy writes for a plain array")
    return tuple(int(n) for n in m["shape"].split(",") if n.strip()), m["fortran"] == "True", np.dtype(m["descr"])
