"""Pickles: what is read, what is refused before it runs, and that no file hangs or crashes."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robult_core.datasets.files import DataError
from robult_core.datasets.pickles import load_pickle

CONTENT = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "mask": np.array([True, False]),
    "none": np.empty((0, 4)),
    "ids": np.array([[b"v", b"0"]], dtype=object),
    "fixed": np.array([b"video1"]),
    "words": np.array(["naïve", "日本"]),
    "one": np.float64(2.5),
    "nested": [("x", 1, 2.0, True, None), {3}, frozenset([4]), b"", bytearray(b"xy")],
    "order": collections.OrderedDict(b=1),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", [b"numpy._core", b"numpy.core"])
def test_arrays_and_builtins(tmp_path, protocol, core):
    raw = pickle.dumps(CONTENT, protocol=protocol)
    if protocol < 4:  # names are plain lines there, so the numpy 1 spelling can be put in
        raw = raw.replace(b"numpy._core", core)
    (tmp_path / "x.pkl").write_bytes(raw)
    loaded = load_pickle(tmp_path / "x.pkl")
    for name in ("a", "columns", "big endian", "mask", "none", "ids", "fixed", "words"):
        np.testing.assert_array_equal(loaded[name], CONTENT[name])
        assert type(loaded[name]) is np.ndarray
    for name in ("one", "nested", "order"):
        assert loaded[name] == CONTENT[name]


@pytest.mark.parametrize("protocol", range(6))
def test_a_name_that_comes_twice_is_found_again_among_hundreds(tmp_path, protocol):
    """Files of benchmarks name thousands of videos, twice where a split and a table name them."""
    names = [f"video {number}" for number in range(600)]
    content = {"table": names, "test": list(reversed(names))}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    assert load_pickle(tmp_path / "x.pkl") == content


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.array([1j]), "c16"),
        (np.array(["2026-01-01"], dtype="M8[D]"), "M8"),
        (np.zeros(2, dtype="V3"), "V3"),
    ],
)
def test_an_array_of_another_type_is_refused(tmp_path, array, code):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(array, protocol=2))
    with pytest.raises(DataError, match=f"refused: it holds an array of type '{code}'"):
        load_pickle(tmp_path / "x.pkl")


def test_a_forged_order_of_bytes_is_refused(tmp_path):
    sound = pickle.dumps(np.arange(3, dtype="<i4"), protocol=2)
    forged = sound.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00!")
    assert forged != sound
    (tmp_path / "x.pkl").write_bytes(forged)
    with pytest.raises(DataError, match="refused: it holds an array of type 'i4'"):
        load_pickle(tmp_path / "x.pkl")


def test_float64_becomes_float32_at_once(tmp_path):
    """Neither the bytes of the file nor float64 stay: the peak is near one array and its bytes."""
    arrays = [np.random.default_rng(seed).normal(size=500_000) for seed in range(6)]  # 4 MB each
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    tracemalloc.start()
    loaded = load_pickle(tmp_path / "x.pkl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for array, original in zip(loaded, arrays, strict=True):
        np.testing.assert_array_equal(array, original.astype(np.float32))
    assert peak < 6 * 2e6 + 5 * 4e6  # what is kept, and a few copies of one array


def test_strings_of_python_2(tmp_path):
    """Protocol 0 and 1 of Python 2 store byte strings by opcodes S and U, read as latin-1 text."""
    (tmp_path / "x.pkl").write_bytes(b"(dS'train'\nU\x03\xe4bcs.")
    assert load_pickle(tmp_path / "x.pkl") == {"train": "äbc"}


class Reduced:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


ATTACKS = {
    "system": Reduced(os.system, "touch {}"),
    "eval": Reduced(eval, "open('{}', 'w')"),
    "exec": Reduced(exec, "open('{}', 'w')"),
    "getattr": Reduced(getattr, "x", "upper"),
    "import": Reduced(__import__, "os"),
    "load": Reduced(np.load, "{}", "r", True),
    "vectorize": Reduced(np.vectorize, "x"),
    "counter": Reduced(collections.Counter),
    "int": Reduced(int, "7"),
    "str": Reduced(str, [1]),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_malicious_pickle_is_refused_before_it_runs(tmp_path, attack):
    marker = tmp_path / "marker"
    function, arguments = ATTACKS[attack].call
    aimed = [text.format(marker) if isinstance(text, str) else text for text in arguments]
    content = {"train": [Reduced(function, *aimed)]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"a pickle of arrays .refused: it asks for '"):
        load_pickle(tmp_path / "x.pkl")
    assert not marker.exists()


KIND = b"cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR"
STATE = b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"  # of a dtype: version, order, no fields
EMPTY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


def array_of(kind: bytes, shape: bytes, content: bytes) -> bytes:
    """A pickled array in protocol 0."""
    return EMPTY + b"(I1\n" + shape + kind + b"I00\n" + content + b"tb."


TRICKS = {
    "system by name": b"cposix\nsystem\n(S'true'\ntR.",
    "method of a class": b"cnumpy\nndarray.tofile\n.",
    "attribute of a class": b"cbuiltins\nstr.__class__\n.",
    "attribute in protocol 4": b"\x80\x04\x8c\x08builtins\x8c\x0cdict.__class__\x93.",
    "another codec": b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
    "an instance": b"(icollections\nCounter\n.",
    "an object": b"cbuiltins\nset\n(tb.",
    "a persistent id": b"Pother\n.",
    "an extension": b"\x82\x01.",
    "an unknown operation": b"\xfe.",
    "state of a function": b"c_codecs\nencode\n(dS'x'\nI1\nsb.",
    "a call of a text": b"S'upper'\n(tR.",
    "a forged dtype": array_of(b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR", b"(I9\nt", b"S'12345678'\n"),
    "fields": array_of(KIND + b"(I3\nS'|'\nN(S'a'\nt(dI8\nI1\nI0\ntb", b"(I1\nt", b"S'12345678'\n"),
    "a negative size": array_of(KIND + STATE, b"(I-1\nt", b"S'12345678'\n"),
    "a huge size": array_of(KIND + STATE, b"(I4611686018427387904\nI4\nt", b"S''\n"),
    "too few bytes": array_of(KIND + STATE, b"(I2\nt", b"S'12345678'\n"),
    "a shape of text": array_of(KIND + STATE, b"S'ab'\n", b"S'12345678'\n"),
    "an odd order": array_of(KIND + STATE.replace(b"'<'", b"'!'"), b"(I1\nt", b"S'12345678'\n"),
    "an array that never comes": EMPTY + b".",
    "a class of arrays": b"cnumpy._core.multiarray\n_reconstruct\n(NS'b'\nNtR.",
    "no character": array_of(
        b"cnumpy\ndtype\n(S'U1'\nI00\nI01\ntR" + STATE, b"(I1\nt", b"S'\\xff\\xff\\xff\\x7f'\n"
    ),
    "no character either": array_of(
        b"cnumpy\ndtype\n(S'U1'\nI00\nI01\ntR" + STATE, b"(I1\nt", b"S'\\x00\\x00\\x11\\x00'\n"
    ),
    "cut length": b"\x8e" + struct.pack("<Q", 2**62),
    "cut text": b"\x8d" + struct.pack("<Q", 2**40),
    "cut bytearray": b"\x96" + struct.pack("<Q", 2**40),
    "a bytearray of a number": b"cbuiltins\nbytearray\n(I1000000000000\ntR.",
    "bytes of a number": b"cbuiltins\nbytes\n(I1000000000000\ntR.",
}


def nested_list(depth: int) -> list | int:
    return [nested_list(depth - 1)] if depth else 1


@pytest.mark.parametrize(
    ("content", "one_more"),
    [
        (nested_list(16), nested_list(17)),
        ([bytes(2**16)] * 2, [bytes(2**16 + 1)] * 2),  # a large value is used once only
    ],
    ids=["depth", "second use"],
)
def test_how_much_is_read(tmp_path, content, one_more):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    assert load_pickle(path) == content
    path.write_bytes(pickle.dumps(one_more))
    with pytest.raises(DataError, match="refused: "):
        load_pickle(path)


def test_arrays_inside_arrays_count_as_deep_as_lists(tmp_path):
    inside = 1
    for _ in range(17):
        outside = np.empty(1, dtype=object)
        outside[0] = inside
        inside = outside
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(inside))
    with pytest.raises(DataError, match="nested without end"):
        load_pickle(tmp_path / "x.pkl")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(inside[0]))
    assert load_pickle(tmp_path / "x.pkl").shape == (1,)


def test_the_last_character_of_unicode_is_read(tmp_path):
    words = np.array(["\U0010ffff"])
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(words))
    assert load_pickle(tmp_path / "x.pkl").tolist() == words.tolist()


@pytest.mark.parametrize("trick", TRICKS)
def test_hand_written_tricks_are_refused(tmp_path, trick):
    (tmp_path / "x.pkl").write_bytes(TRICKS[trick])
    with pytest.raises(DataError, match="cannot be read as a pickle of arrays"):
        load_pickle(tmp_path / "x.pkl")


def nested(levels: int) -> bytes:
    """((..., ...), ...): each tuple holds the last one twice, so it has 2^levels leaves."""
    return b"I1\n" + b"2\x86" * levels


BOMBS = {
    "a nested key": b"}" + nested(100) + b"I1\ns.",
    "nested keys": b"}(" + nested(100) + b"I1\nu.",
    "a nested member": b"\x80\x04\x8f(" + nested(100) + b"\x90.",
    "a nested member of a frozenset": b"\x80\x04(" + nested(100) + b"\x91.",
    "a nested member of a set": b"cbuiltins\nset\n(](" + nested(100) + b"etR.",
    "a nested value": b"}S'a'\n" + nested(60) + b"s.",
    "a deep list": b"]" * 200_000 + b"a" * 199_999 + b".",
    "a list of itself": b"]q\x00h\x00a.",
    "one large set over and over": (
        b"]("
        + b"I1\n" * 20_000
        + b"eq\x00"
        + b"0cbuiltins\nset\nq\x01"
        + b"h\x01(h\x00tR" * 50_000
        + b"."
    ),
}


LOADS_EACH = """
import resource, sys
from pathlib import Path
from robult_core.datasets.pickles import load_pickle
for path in sorted(Path(sys.argv[1]).iterdir()):
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + 10, resource.RLIM_INFINITY))
    try:
        load_pickle(path)
    except ValueError as error:
        print(error)
"""


def test_small_files_neither_hang_nor_crash(tmp_path):
    """In a process of its own, which ten seconds of work on one file would end."""
    for name, content in BOMBS.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", LOADS_EACH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
    for name, line in zip(sorted(BOMBS), done.stdout.splitlines(), strict=True):
        assert name in line
        assert "cannot be read as a pickle of arrays (refused:" in line


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_cut_pickle_is_one_sentence(tmp_path, cut):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(CONTENT)[:-cut])
    with pytest.raises(DataError, match="cannot be read as a pickle of arrays"):
        load_pickle(tmp_path / "x.pkl")


@settings(max_examples=100)
@given(st.integers(0, 5), st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_damage_anywhere_gives_a_data_error_or_plain_values(
    tmp_path_factory, protocol, place, noise
):
    raw = bytearray(pickle.dumps(CONTENT, protocol=protocol))
    start = place % len(raw)
    raw[start : start + len(noise)] = noise
    path = tmp_path_factory.mktemp("flip") / "x.pkl"
    path.write_bytes(raw)
    with contextlib.suppress(DataError):
        load_pickle(path)
