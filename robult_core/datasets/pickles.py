"""Pickles read without running them: arrays and plain values in plain containers, nothing else.

`pickle.load` does whatever a file tells it to. Here a file may name only the few constructors that
pickled arrays need, and each name stands for a function of this module: an array's bytes are
understood through a dtype that we make, never through one that the file builds. Keys are plain
values, and depth, items and work are bounded, so that no file can hang or crash the process.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from struct import unpack
from typing import Any, ClassVar

import numpy as np

from robult_core.datasets.files import reading

DEEPEST = 16  # containers inside one another
MOST_ITEMS = 5_000_000  # values in all containers together; MOSEI has some 100,000
LARGE = 2**16  # from here on, bytes and text are not kept for a second use
HIGHEST_CODE_POINT = 0x10FFFF
SCALARS = (str, bytes, bool, int, float, type(None))


def load_pickle(path: str | Path) -> Any:
    """Content of a pickle of arrays and plain values, whatever its protocol.

    Arrays of float64 become float32 as soon as they are read. Text of Python 2 is read as latin-1.
    Raises DataError where a file is damaged or asks for anything else.
    """
    path = Path(path)
    with (
        reading(path, "a pickle of arrays", "download it again from its publisher"),
        open(path, "rb") as handle,
    ):
        content = _Reader(_Bounded(handle, path.stat().st_size)).load()
        return _Copy().plain(content, 0)


class _Bounded:
    """A file that refuses to read beyond its end, so that a forged length reserves no memory."""

    def __init__(self, handle: BufferedReader, size: int) -> None:
        self.handle = handle
        self.size = size
        self.readline = handle.readline
        self.readinto = handle.readinto

    def read(self, length: int) -> bytes:
        if length > self.size - self.handle.tell():
            raise pickle.UnpicklingError("it is cut off")
        return self.handle.read(length)


class _Kind:
    """What a file says of a dtype: a code such as "f8" and the order of the bytes."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    def set_state(self, state: tuple) -> None:
        """State is (version, order, subarray, names, ...); only simple types have no names."""
        if state[2] is not None or state[3] is not None:
            raise pickle.UnpicklingError("refused: it holds an array of records")
        self.order = state[1]

    def dtype(self) -> np.dtype:
        """The numpy type, of our making: numbers, bytes, text or Python values."""
        simple = re.fullmatch(r"[biuf]\d|f16|[SU]\d{1,9}|O8?", self.code)
        if simple is None or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"refused: it holds an array of type {self.code!r}")
        return np.dtype(self.code[:1] if self.code[0] == "O" else self.order + self.code)


class _Array:
    """A place for an array whose content follows later in the file."""

    value: np.ndarray | None = None

    def set_state(self, state: tuple) -> None:
        """State is (version, shape, kind, Fortran order, content); old files lack the version."""
        shape, kind, fortran, content = state[-4:]
        self.value = _array(content, kind, shape, "F" if fortran else "C")


def _array(content: Any, kind: _Kind, shape: tuple, order: str) -> np.ndarray:
    """The array of `shape`; `content` is its bytes, or a list where it holds Python values."""
    dtype = kind.dtype()
    if not all(type(size) is int and size >= 0 for size in shape):
        raise pickle.UnpicklingError(f"refused: it holds an array of shape {shape!r}")
    size = math.prod(shape)
    if dtype.kind == "O":
        if not isinstance(content, list) or len(content) != size:
            raise pickle.UnpicklingError("refused: it makes Python values of bytes")
        flat = np.empty(size, dtype=object)
        for place, item in enumerate(content):
            flat[place] = item
        return flat.reshape(shape)
    content = content.encode("latin1") if isinstance(content, str) else content
    if len(content) != size * dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of shape {shape} has {len(content)} bytes")
    flat = np.frombuffer(content, dtype) if size else np.empty(0, dtype)
    if dtype.kind == "U" and size:
        codes = flat.view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if codes.max(initial=0) > HIGHEST_CODE_POINT:
            raise pickle.UnpicklingError("an array of text holds what is no character")
    # A copy in this machine's byte order, so that the bytes of the file can go.
    kept = np.dtype(np.float32) if dtype.kind == "f" else dtype.newbyteorder("=")
    return flat.astype(kept).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: str, shape: tuple, code: Any) -> _Array:
    if kind != "ndarray":
        raise pickle.UnpicklingError("refused: it holds an array of a class of its own")
    return _Array()


def _from_buffer(content: Any, kind: _Kind, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.value = _array(content, kind, shape, order)
    return array


def _scalar(kind: _Kind, content: Any) -> Any:
    return _array(content, kind, (), "C")[()]


def _dtype(code: str, align: bool = False, copy: bool = True) -> _Kind:
    return _Kind(code)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes in files of protocol 0 to 2; latin-1 only, so that no other codec runs."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed")
    return text.encode("latin1")


def _bytearray(content: Any = b"", encoding: str = "latin1") -> bytearray:
    """A bytearray of bytes or text; never of a number, which would reserve that much memory."""
    content = _encode(content, encoding) if isinstance(content, str) else content
    if not isinstance(content, (bytes, bytearray)):
        raise pickle.UnpicklingError("refused: it makes bytes of what is no text")
    return bytearray(content)


def _empty_bytes() -> bytes:
    """Protocol 0 to 2 write b"" as a call without arguments."""
    return b""


def _set(items: list) -> set:
    return {_key(item) for item in items}


def _frozenset(items: list) -> frozenset:
    return frozenset(_set(items))


def _ordered() -> dict:
    return {}


def _key(value: Any) -> Any:
    """Keys and members are plain values: the hash of a nested one can take for ever."""
    if not isinstance(value, SCALARS):
        raise pickle.UnpicklingError("refused: a key is neither text nor a number")
    return value


def _allowed() -> dict[tuple[str, str], Any]:
    """(module, name) in a file -> what stands for it; numpy 1 and 2 name their modules apart."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): "ndarray",
        ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): _ordered,
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = _reconstruct
        names[f"{core}.multiarray", "scalar"] = _scalar
        names[f"{core}.numeric", "_frombuffer"] = _from_buffer
    for module in ("builtins", "__builtin__"):
        names[module, "set"] = _set
        names[module, "frozenset"] = _frozenset
        names[module, "bytes"] = _empty_bytes
        names[module, "bytearray"] = _bytearray
    return names


ALLOWED = _allowed()
FUNCTIONS = [value for value in ALLOWED.values() if callable(value)]


class _Reader(pickle._Unpickler):
    """Python's own unpickler, with every operation that could act on the file's behalf replaced."""

    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, file: _Bounded) -> None:
        super().__init__(file, encoding="latin1")
        self.work_left = 4 * file.size + 2**20

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            what = "which is neither a numpy array nor a plain container"
            raise pickle.UnpicklingError(f"refused: it asks for '{module}.{name}', {what}")
        return ALLOWED[module, name]

    def _work(self, values: tuple) -> None:
        """Count what a call copies: a file that uses one large value over and over is refused."""
        for value in values:
            if hasattr(value, "__len__"):
                self.work_left -= len(value)
        if self.work_left < 0:
            raise pickle.UnpicklingError("refused: it copies more than it holds")

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if not any(function is allowed for allowed in FUNCTIONS):
            raise pickle.UnpicklingError("refused: it calls what is no constructor of arrays")
        self._work(arguments)
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, (_Array, _Kind)):
            raise pickle.UnpicklingError("refused: it changes what is no array")
        self._work(state)
        target.set_state(state)

    def load_setitem(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.stack[-1][_key(key)] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self.stack[-1].update(_dictionary(items))

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append(_dictionary(items))

    def load_additems(self) -> None:
        members = self.pop_mark()
        self.stack[-1].update(_set(members))

    def load_frozenset(self) -> None:
        members = self.pop_mark()
        self.append(_frozenset(members))

    def load_bytearray8(self) -> None:
        (length,) = unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    def refuse(self) -> None:
        raise pickle.UnpicklingError("refused: it is not made of arrays and plain containers")

    def _remember(self, place: int) -> None:
        """Keep the last value for a second use, unless it is the large content of an array."""
        value = self.stack[-1]
        parts = value if isinstance(value, tuple) else (value,)
        self.memo[place] = _Forgotten if any(map(_is_large, parts)) else value

    def load_put(self) -> None:
        self._remember(int(self.readline()[:-1]))

    def load_binput(self) -> None:
        self._remember(self.read(1)[0])

    def load_long_binput(self) -> None:
        self._remember(unpack("<I", self.read(4))[0])

    def load_memoize(self) -> None:
        self._remember(len(self.memo))

    dispatch: ClassVar[dict[int, Callable]] = dict.fromkeys(range(256), refuse)


class _Forgotten:
    """Stands for a large value that is used a second time, which pickles of arrays never do."""


def _is_large(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray, str)) and len(value) > LARGE


def _dictionary(items: list) -> dict:
    """[key, value, key, value ...] -> dictionary."""
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


# Operations that Python's unpickler may keep: numbers, text, bytes, lists, tuples, marks and memo.
_HARMLESS = """PROTO FRAME NONE NEWFALSE NEWTRUE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT
BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES BINBYTES8 SHORT_BINBYTES UNICODE BINUNICODE
BINUNICODE8 SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT
EMPTY_SET GLOBAL STACK_GLOBAL POP POP_MARK DUP GET BINGET LONG_BINGET APPEND APPENDS MARK STOP"""
_REPLACED = """REDUCE BUILD SETITEM SETITEMS DICT ADDITEMS FROZENSET BYTEARRAY8 PUT BINPUT
LONG_BINPUT MEMOIZE"""
for _name in _HARMLESS.split():
    _code = getattr(pickle, _name)[0]
    _Reader.dispatch[_code] = pickle._Unpickler.dispatch[_code]
for _name in _REPLACED.split():
    _Reader.dispatch[getattr(pickle, _name)[0]] = getattr(_Reader, f"load_{_name.lower()}")


class _Copy:
    """The content with plain numpy arrays, depth and items counted as a reader would meet them."""

    def __init__(self) -> None:
        self.items_left = MOST_ITEMS

    def plain(self, value: Any, depth: int) -> Any:
        self.items_left -= 1
        if depth > DEEPEST or self.items_left < 0:
            raise pickle.UnpicklingError("refused: its containers are nested without end")
        if isinstance(value, (*SCALARS, bytearray, np.generic)):
            return value
        if isinstance(value, _Array) and value.value is not None:
            return self._array(value.value, depth)
        if isinstance(value, dict):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)(self.plain(item, depth + 1) for item in value)
        raise pickle.UnpicklingError("refused: it holds something else than arrays and values")

    def _array(self, array: np.ndarray, depth: int) -> np.ndarray:
        if array.dtype.kind == "O":
            for place, item in np.ndenumerate(array):
                array[place] = self.plain(item, depth + 1)
        return array
