"""Pickles through an allow-list: numpy arrays and plain Python containers, nothing that can call anything else.

`pickle.load` runs whatever a file tells it to. Here every global a file names must be in `ALLOWED`; the two data-only constructors
that numpy pickles need are the only callables, so a file can build arrays and nothing more.
"""

from __future__ import annotations

import builtins
import pickle
from pathlib import Path

import numpy as np

from robult_core.datasets.files import reading


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stand-in for `codecs.encode`, which Python 2 style pickles of bytes call: latin-1 only, so that no other codec runs."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed")
    return text.encode("latin1")


_CORE = np._core.multiarray
_NUMPY = {"_reconstruct": _CORE._reconstruct, "scalar": _CORE.scalar}
ALLOWED = {
    (f"numpy.{core}.multiarray", name): value
    for core in ("core", "_core")
    for name, value in _NUMPY.items()
}
ALLOWED |= {
    (f"numpy.{core}.numeric", "_frombuffer"): np._core.numeric._frombuffer
    for core in ("core", "_core")
}
ALLOWED |= {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
}
ALLOWED |= {("collections", "OrderedDict"): dict}
_BUILTINS = (
    "set",
    "frozenset",
    "list",
    "tuple",
    "dict",
    "bytes",
    "bytearray",
    "str",
    "int",
    "float",
    "bool",
)
ALLOWED |= {
    (module, name): getattr(builtins, name)
    for module in ("builtins", "__builtin__")
    for name in _BUILTINS
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(
                f"refused: it asks for '{module}.{name}', which is neither a numpy array nor a plain container"
            )
        return ALLOWED[module, name]


def load_pickle(path: str | Path) -> object:
    """Content of a pickle made of numpy arrays and builtins (any protocol, numpy 1 or 2, Python 2 strings become latin-1 text)."""
    with (
        reading(Path(path), "a pickle of arrays", "download it again from its publisher"),
        open(path, "rb") as handle,
    ):
        return _Unpickler(handle, encoding="latin1").load()
