"""Calls of the public functions, each with one value that is wrong, and what comes of them.

`python tests/bad_calls.py` runs them all, without the type checks that pytest switches on, and
prints a line of JSON for each: the call, how it ended, and the message. A call ends

    clear     in an error that our code raises as one sentence with what to do after a colon
    unclear   in any other error
    accepted  without an error, though the value is wrong
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import robult_core
from robult_core.calibration import expected_calibration_error, fit_temperature
from robult_core.datasets import MultimodalData
from robult_core.datasets.pid import load_pid
from robult_core.evaluation import evaluate, having, predict, predict_all
from robult_core.information import (
    batch_estimate,
    decompose,
    decompose_samples,
    entropy,
    joint_table,
    permutation_baseline,
)
from robult_core.losses import latent_reconstruction_loss, rbf_weights, soft_pu_loss
from robult_core.method import Method
from robult_core.methods import METHODS, make_method
from robult_core.methods.sanity import sanity_predictions
from robult_core.model import RobultConfig
from robult_core.protocol import (
    label_fold,
    label_split,
    patterns,
    random_missing,
    validation_split,
)
from robult_core.tasks import Classification, Multilabel, Regression
from robult_core.training import TrainingConfig, train

OURS = Path(robult_core.__file__).parents[1]
LONGEST = 450  # characters of a sentence; the longest names all 25 settings of a method
NAN = float("nan")
INF = float("inf")

N_ROWS = 40
LABELED = list(range(10))
TEST_ROW = 35


class Call(NamedTuple):
    """A call, and the name of what is wrong with it."""

    name: str
    make: Callable[[], Any]


def toy(**changes: Any) -> MultimodalData:
    """Forty samples of two modalities and three classes."""
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {
        "name": "toy",
        "task": Classification(3),
        "modalities": {
            "a": torch.from_numpy(rng.standard_normal((N_ROWS, 4), dtype=np.float32)),
            "b": torch.from_numpy(rng.standard_normal((N_ROWS, 3), dtype=np.float32)),
        },
        "targets": torch.arange(N_ROWS) % 3,
        "split": np.array(["train"] * 24 + ["valid"] * 6 + ["test"] * 10),
    }
    return MultimodalData(**(values | changes))


def method(data: MultimodalData | None = None) -> Method:
    data = data or toy()
    return make_method("robult", data.task, data.shapes, width=8)


def trained(rows: Any = LABELED, data: MultimodalData | None = None, **changes: Any) -> Any:
    data = data or toy()
    config = changes.pop("config", TrainingConfig(steps=2, batch_size=8))
    return train(method(data), data, rows, config, **changes)


def loss(**changes: Any) -> Any:
    values = {
        "s": torch.ones(6, 4),
        "z": torch.ones(2, 6, 4),
        "classes": torch.arange(6) % 2,
        "labeled": torch.arange(6) < 3,
    }
    return soft_pu_loss(**(values | changes))


WRONG_ROWS = {
    "a boolean mask": np.ones(N_ROWS, dtype=bool),
    "a negative index": [-1],
    "beyond the end": [N_ROWS],
    "fractions": [0.5],
    "text": ["first"],
    "two dimensions": [[0], [1]],
    "None": None,
    "nan": [NAN],
}
WRONG_SEEDS = (None, -1, 0.5, 2**32, "0", NAN, True, np.True_)
WRONG_SHARES = (-0.1, 1.5, None, "0.5", NAN, INF, True, np.True_)
WRONG_PATTERNS = {
    "unknown": ("c",),
    "doubled": ("a", "a"),
    "empty": (),
    "a text": "a",
    "None": None,
    "numbers": (0,),
}
WRONG_NUMBERS = {  # by setting: what no setting of that kind may be
    "width": (0, -8, 1.5, "8", None, NAN, True),
    "dropout": (-0.1, 1.0, "0.3", None, NAN, False, np.False_),
    "temperature": (0, -1, "1", None, NAN, INF, True, np.True_),
    "bandwidth": (0, -1, "1", NAN, INF, True),
    "supervised_weight": (-1, NAN, INF, "1", None, True, np.True_),
    "labeled_weight": (-1, NAN, INF),
    "unlabeled_weight": (-1, NAN, INF),
    "reconstruction_weight": (-1, NAN, INF),
    "bottleneck": (0, -1, 2.5, True),
    "weighting": ("gauss", None, 1),
    "reference": ("mine", None),
    "normalizer": ("none", None),
    "weight_gradient": ("yes", None, 2),
    "combine": ("product", None),
    "full_input": ("z", None),
    "fusion": ("early", None),
    "reconstruction_updates": ("h", None),
    "late_fusion": ("bogus", None),
}
WRONG_TRAINING = {
    "steps": (0, -1, 1.5, "400", None, NAN, True, np.True_),
    "batch_size": (0, -1, 1.5, "64", None, True),
    "learning_rate": (0, -1, NAN, INF, "fast", True),
    "weight_decay": (-1, NAN, INF),
    "warmup": (-0.1, 1.1, NAN, None, True),
    "gradient_clip": (0, -1, NAN, None),
    "sampling": ("none", None),
}
WRONG_SETTINGS = {
    "gmc": {"contrastive_weight": (-1, NAN), "temperature": (0, -1, NAN), "width": (0, -1)},
    "unimodal": {"width": (0, -1), "dropout": (1.0, -0.1)},
    "action_mae": {"width": (0, -2), "depth": (-1,), "reconstruction_weight": (-1, NAN)},
    "prompt_trans": {
        "width": (0, -2),
        "prompt_length": (0, -1),
        "prompt_layers": (-1,),
        "stage_one": (-0.1, 1.1, NAN),
    },
}


def calls() -> Iterator[Call]:
    """Every call of the table."""
    yield from _training_calls()
    yield from _evaluation_calls()
    yield from _protocol_calls()
    yield from _data_calls()
    yield from _task_calls()
    yield from _loss_calls()
    yield from _settings_calls()
    yield from _information_calls()


def _training_calls() -> Iterator[Call]:
    for what, rows in WRONG_ROWS.items():
        yield Call(f"train, rows: {what}", lambda rows=rows: trained(rows))
    rows = [*LABELED, TEST_ROW]
    yield Call("train, rows: a test row", lambda: trained(rows))
    yield Call("train, rows: a validation row", lambda: trained([*LABELED, 25]))
    yield Call("train, rows: one twice", lambda: trained([0, 0, 1, 2]))
    unknown = torch.arange(N_ROWS) > 0
    yield Call("train, rows: without a label", lambda: trained([0], toy(known=unknown)))
    no_training = np.array(["test"] * N_ROWS)
    yield Call("train, no training rows", lambda: trained([], toy(split=no_training)))
    for seed in WRONG_SEEDS:
        yield Call(f"train, seed: {seed!r}", lambda seed=seed: trained(seed=seed))
    for value in (0, -1, 1.5, "10", True):
        yield Call(f"train, log_every: {value!r}", lambda value=value: trained(log_every=value))
    fast = TrainingConfig(steps=30, batch_size=8, learning_rate=1e12)
    yield Call("train, weights become NaN", lambda: trained(config=fast))
    nobody = torch.zeros(2, N_ROWS, dtype=torch.bool)
    yield Call("train, all modalities absent", lambda: trained(data=toy(present=nobody)))
    yield Call("train, data: None", lambda: train(method(), None, LABELED))
    yield Call("train, method: None", lambda: train(None, toy(), LABELED))
    yield Call("train, config: a dict", lambda: trained(config={"steps": 2}))
    yield Call("train, other modalities", lambda: train(method(), _other_names(), LABELED))
    yield Call("train, other widths", lambda: train(method(), _other_widths(), LABELED))
    yield Call("train, another task", lambda: train(method(), _regression(), LABELED))
    for field, values in WRONG_TRAINING.items():
        for value in values:
            name = f"TrainingConfig, {field}: {value!r}"
            yield Call(name, lambda field=field, value=value: TrainingConfig(**{field: value}))
    yield Call("TrainingConfig, unknown setting", lambda: TrainingConfig(step=2))


def _other_names() -> MultimodalData:
    return toy(modalities={"a": torch.ones(N_ROWS, 4), "c": torch.ones(N_ROWS, 3)})


def _other_widths() -> MultimodalData:
    return toy(modalities={"a": torch.ones(N_ROWS, 4), "b": torch.ones(N_ROWS, 5)})


def _regression() -> MultimodalData:
    return toy(task=Regression(), targets=torch.zeros(N_ROWS))


def _evaluation_calls() -> Iterator[Call]:
    for what, rows in WRONG_ROWS.items():
        yield Call(
            f"predict, rows: {what}", lambda rows=rows: predict(method(), toy(), rows, ("a",))
        )
        yield Call(
            f"predict_all, rows: {what}",
            lambda rows=rows: predict_all(method(), toy(), rows, [("a",)]),
        )
        yield Call(f"having, rows: {what}", lambda rows=rows: having(toy(), rows, ("a",)))
        yield Call(
            f"evaluate, rows: {what}", lambda rows=rows: evaluate(method(), toy(), rows, [("a",)])
        )
    for what, pattern in WRONG_PATTERNS.items():
        yield Call(
            f"predict, pattern: {what}", lambda it=pattern: predict(method(), toy(), [0], it)
        )
        yield Call(f"having, pattern: {what}", lambda it=pattern: having(toy(), [0], it))
        yield Call(
            f"evaluate, pattern: {what}", lambda it=pattern: evaluate(method(), toy(), [0], [it])
        )
    yield Call("predict, unknown modality", lambda: predict(method(), _other_names(), [0], ("c",)))
    yield Call("predict, other widths", lambda: predict(method(), _other_widths(), [0], ("b",)))
    yield Call("predict, method: None", lambda: predict(None, toy(), [0], ("a",)))
    for what, values in {
        "unknown name": {"name": "magic"},
        "name: None": {"name": None},
        "a test row": {"labeled_rows": [TEST_ROW]},
        "no labelled row": {"labeled_rows": []},
        "a negative row": {"rows": [-1]},
        "an unknown pattern": {"patterns": [("c",)]},
        "seed: None": {"seed": None},
        "seed: -1": {"seed": -1},
    }.items():
        yield Call(f"sanity_predictions, {what}", lambda values=values: _sanity(values))


def _sanity(changes: dict[str, Any]) -> Any:
    values = {"name": "linear", "labeled_rows": LABELED, "rows": [TEST_ROW]}
    values |= {"patterns": [("a",)], "seed": 0}
    return sanity_predictions(data=toy(), **(values | changes))


def _protocol_calls() -> Iterator[Call]:
    for share in WRONG_SHARES:
        yield Call(f"label_split, share: {share!r}", lambda it=share: label_split(toy(), it, 0))
        yield Call(
            f"validation_split, share: {share!r}", lambda it=share: validation_split(toy(), 0, it)
        )
        yield Call(f"random_missing, rate: {share!r}", lambda it=share: random_missing(4, 2, it, 0))
    for share in (0.0, 1.0):
        yield Call(
            f"validation_split, share: {share!r}", lambda it=share: validation_split(toy(), 0, it)
        )
    for seed in WRONG_SEEDS:
        yield Call(f"label_split, seed: {seed!r}", lambda it=seed: label_split(toy(), 0.5, it))
        yield Call(f"validation_split, seed: {seed!r}", lambda it=seed: validation_split(toy(), it))
        yield Call(f"random_missing, seed: {seed!r}", lambda it=seed: random_missing(4, 2, 0.5, it))
        yield Call(f"load_pid, seed: {seed!r}", lambda it=seed: load_pid(n=200, seed=it))
    for value in (-1, 1.5, None, "4", True, 10**12, 2**70):
        yield Call(f"random_missing, n: {value!r}", lambda it=value: random_missing(it, 2, 0.5, 0))
    for value in (0, -1, 1.5, None, True, 10**12):
        yield Call(
            f"random_missing, n_modalities: {value!r}",
            lambda it=value: random_missing(4, it, 0.5, 0),
        )
    for value in (0, -1, 250.5, None, "200", True):
        yield Call(f"load_pid, n: {value!r}", lambda it=value: load_pid(n=it))
    for fold in (-1, 3, 1.0, None, "1", True):
        yield Call(f"label_fold, fold: {fold!r}", lambda it=fold: label_fold(toy(), LABELED, it, 0))
    yield Call("patterns, no modality", lambda: patterns(()))
    yield Call("patterns, a name twice", lambda: patterns(("a", "a")))
    yield Call("patterns, a text", lambda: patterns("ab"))
    for word in ("tset", "", None, 3):
        yield Call(f"rows of split {word!r}", lambda it=word: toy().rows(it))


def _data_calls() -> Iterator[Call]:
    x = torch.ones(N_ROWS, 4)
    with_nan = x.clone()
    with_nan[3, 1] = NAN
    targets = torch.arange(N_ROWS) % 3
    split = np.array(["train"] * N_ROWS)
    nobody = torch.zeros(2, N_ROWS, dtype=torch.bool)
    for what, changes in {
        "no modality": {"modalities": {}},
        "an empty name": {"modalities": {"": x}},
        "a plus sign in a name": {"modalities": {"a+b": x}},
        "a number as name": {"modalities": {1: x}},
        "features of width 0": {"modalities": {"a": x[:, :0]}},
        "sequences of length 0": {"modalities": {"a": x[:, :0, None]}},
        "one dimension": {"modalities": {"a": x[:, 0]}},
        "four dimensions": {"modalities": {"a": x[:, :, None, None]}},
        "fewer rows": {"modalities": {"a": x[:-1]}},
        "NaN": {"modalities": {"a": with_nan}},
        "infinity": {"modalities": {"a": x / 0}},
        "text features": {"modalities": {"a": [["x"]] * N_ROWS}},
        "complex features": {"modalities": {"a": x.to(torch.complex64)}},
        "modality None": {"modalities": {"a": None}},
        "modalities as a list": {"modalities": [x]},
        "targets too large": {"targets": targets + 1},
        "negative targets": {"targets": targets - 1},
        "fractional targets": {"targets": targets + 0.5},
        "targets NaN": {"targets": torch.full((N_ROWS,), NAN)},
        "targets as text": {"targets": ["x"] * N_ROWS},
        "targets of two columns": {"targets": torch.stack([targets, targets], dim=1)},
        "fewer targets": {"targets": targets[:-1]},
        "targets None": {"targets": None},
        "an unknown split": {"split": np.array(["tset"] * N_ROWS)},
        "a shorter split": {"split": split[:-1]},
        "split None": {"split": None},
        "present of another shape": {"present": nobody[:1]},
        "present of numbers": {"present": nobody.float()},
        "known of another shape": {"known": nobody[0, :-1]},
        "known of numbers": {"known": torch.full((N_ROWS,), 0.5)},
        "class names too few": {"class_names": ("one",)},
        "task None": {"task": None},
        "regression with infinity": {"task": Regression(), "targets": targets / 0},
        "multilabel of one column": {"task": Multilabel(3), "targets": targets},
        "multilabel with a 2": {
            "task": Multilabel(3),
            "targets": torch.full((N_ROWS, 3), 2),
        },
    }.items():
        yield Call(f"MultimodalData, {what}", lambda changes=changes: toy(**changes))


def _task_calls() -> Iterator[Call]:
    for task in (Classification, Multilabel):
        for value in (-2, 0, 1.5, "3", None, NAN, True):
            yield Call(f"{task.__name__}({value!r})", lambda task=task, it=value: task(it))
    yield Call("Classification(1)", lambda: Classification(1))
    yield Call("Classification(3, primary='auroc')", lambda: Classification(3, primary="auroc"))
    for task in (Classification(3), Multilabel(3), Regression()):
        kind = type(task).__name__
        yield Call(f"{kind}, primary: unknown", lambda task=task: type(task)(**_fields(task, "x")))
        shape = (4, task.n_outputs)
        truth = np.zeros(4, dtype=int) if kind != "Multilabel" else np.zeros(shape, dtype=int)
        nan = np.full(shape, NAN)
        yield Call(f"{kind}.metrics, NaN", lambda task=task, t=truth, s=nan: task.metrics(s, t))
        other = np.zeros((4, task.n_outputs + 1))
        yield Call(
            f"{kind}.metrics, another width", lambda task=task, t=truth, s=other: task.metrics(s, t)
        )
        few = np.zeros((3, task.n_outputs))
        yield Call(f"{kind}.metrics, fewer", lambda task=task, t=truth, s=few: task.metrics(s, t))


def _fields(task: Any, primary: str) -> dict[str, Any]:
    sizes = {} if isinstance(task, Regression) else {"n_outputs": task.n_outputs}
    return sizes | {"primary": primary}


def _loss_calls() -> Iterator[Call]:
    s, z = torch.ones(6, 4), torch.ones(2, 6, 4)
    classes, labeled = torch.arange(6) % 2, torch.arange(6) < 3
    for what, changes in {
        "s of another width": {"s": s[:, :3]},
        "s of other rows": {"s": s[:5]},
        "s of three dimensions": {"s": z},
        "z of two dimensions": {"z": s},
        "z of other rows": {"z": z[:, :5]},
        "z of whole numbers as text": {"z": "z"},
        "classes of other rows": {"classes": classes[:5]},
        "classes of fractions": {"classes": classes + 0.5},
        "classes and labelled exchanged": {"classes": labeled, "labeled": classes},
        "classes of two columns": {"classes": torch.stack([classes, classes], dim=1)},
        "labelled of other rows": {"labeled": labeled[:5]},
        "labelled as classes with -1": {"labeled": classes - 1},
        "labelled as fractions": {"labeled": labeled * 0.5},
        "present of another shape": {"present": labeled},
        "present of fractions": {"present": torch.full((2, 6), 0.5)},
        "block_size: 0": {"block_size": 0},
        "block_size: -1": {"block_size": -1},
        "block_size: 1.5": {"block_size": 1.5},
        "block_size: True": {"block_size": True},
        "temperature: 0": {"temperature": 0},
        "temperature: -1": {"temperature": -1},
        "temperature: NaN": {"temperature": NAN},
        "temperature: text": {"temperature": "1"},
        "temperature: True": {"temperature": True},
        "bandwidth: 0": {"bandwidth": 0.0},
        "weighting: unknown": {"weighting": "gauss"},
        "reference: unknown": {"reference": "mine"},
        "normalizer: unknown": {"normalizer": "none"},
        "an unknown option": {"temperatur": 0.3},
    }.items():
        yield Call(f"soft_pu_loss, {what}", lambda changes=changes: loss(**changes))
        if not what.startswith("block_size"):
            yield Call(f"rbf_weights, {what}", lambda changes=changes: _weights(changes))
    for what, pair in {
        "other widths": (s, s[:, :3]),
        "other rows": (s, s[:5]),
        "None": (s, None),
        "text": (s, "h"),
    }.items():
        yield Call(
            f"latent_reconstruction_loss, {what}",
            lambda pair=pair: latent_reconstruction_loss(*pair),
        )


def _weights(changes: dict[str, Any]) -> Any:
    values = {"s": torch.ones(6, 4), "z": torch.ones(2, 6, 4)}
    values |= {"classes": torch.arange(6) % 2, "labeled": torch.arange(6) < 3}
    return rbf_weights(**(values | changes))


def _settings_calls() -> Iterator[Call]:
    for field, values in WRONG_NUMBERS.items():
        for value in values:
            name = f"RobultConfig, {field}: {value!r}"
            yield Call(name, lambda field=field, value=value: RobultConfig(**{field: value}))
    yield Call("RobultConfig, unknown setting", lambda: RobultConfig(depth=3))
    for name, settings in WRONG_SETTINGS.items():
        for field, values in settings.items():
            for value in values:
                yield Call(
                    f"make_method, {name}, {field}: {value!r}",
                    lambda name=name, hyper={field: value}: _made(name, **hyper),
                )
    yield Call("make_method, unknown name", lambda: _made("magic"))
    yield Call("make_method, name: None", lambda: _made(None))
    for name in METHODS:
        yield Call(f"make_method, {name}, unknown setting", lambda name=name: _made(name, magic=1))
        for what, specs in {
            "no modality": {},
            "width 0": {"a": (0,)},
            "width True": {"a": True},
            "a fraction": {"a": (4.5,)},
            "a negative width": {"a": (-4,)},
            "three dimensions": {"a": (3, 4, 5)},
            "a plus sign": {"a+b": (4,)},
            "None": {"a": None},
        }.items():
            yield Call(
                f"make_method, {name}, specs: {what}",
                lambda name=name, specs=specs: make_method(name, Classification(3), specs),
            )


def _made(name: Any, **hyper: Any) -> Method:
    return make_method(name, Classification(3), {"a": (4,), "b": (3,)}, **hyper)


def _information_calls() -> Iterator[Call]:
    table = np.full((2, 2, 2), 1 / 8)
    for what, wrong in {
        "negative": -table,
        "not a distribution": table * 2,
        "NaN": table * NAN,
        "two dimensions": table[0],
        "empty": table[:0],
        "None": None,
        "text": "table",
    }.items():
        yield Call(f"decompose, {what}", lambda wrong=wrong: decompose(wrong))
    yield Call("entropy, negative", lambda: entropy(-table[0, 0]))
    yield Call(
        "joint_table, other lengths", lambda: joint_table(np.zeros(3, int), np.zeros(4, int))
    )
    yield Call("joint_table, nothing", lambda: joint_table())
    x, y = np.random.default_rng(0).standard_normal((30, 2)), np.arange(30) % 2
    for what, values in {
        "other lengths": (x, x[:-1], y),
        "NaN": (x, x * NAN, y),
        "no rows": (x[:0], x[:0], y[:0]),
        "None": (x, None, y),
        "text": (x, "x", y),
    }.items():
        yield Call(f"decompose_samples, {what}", lambda values=values: decompose_samples(*values))
    for clusters in (0, -1, 1.5, None, True):
        yield Call(
            f"decompose_samples, clusters: {clusters!r}",
            lambda it=clusters: decompose_samples(x, x, y, clusters=it),
        )
    for seed in WRONG_SEEDS:
        for estimate in (decompose_samples, permutation_baseline, batch_estimate):
            yield Call(
                f"{estimate.__name__}, seed: {seed!r}",
                lambda it=seed, estimate=estimate: estimate(x, x, y, seed=it),
            )
    for number in (0, 1.5, None, True):
        yield Call(
            f"permutation_baseline, n_permutations: {number!r}",
            lambda it=number: permutation_baseline(x, x, y, n_permutations=it),
        )
    probabilities = np.full((6, 2), 0.5)
    truth = np.arange(6) % 2
    for what, pair in {
        "NaN": (probabilities * NAN, truth),
        "no distribution": (probabilities * 3, truth),
        "other lengths": (probabilities, truth[:-1]),
        "unknown class": (probabilities, truth + 1),
    }.items():
        for function in (fit_temperature, expected_calibration_error):
            yield Call(
                f"{function.__name__}, {what}",
                lambda pair=pair, function=function: function(*pair),
            )
    yield Call(
        "expected_calibration_error, no rows",
        lambda: expected_calibration_error(probabilities[:0], truth[:0]),
    )
    for bins in (0, -1, 1.5, None, True):
        yield Call(
            f"expected_calibration_error, bins: {bins!r}",
            lambda it=bins: expected_calibration_error(probabilities, truth, bins=it),
        )


def ending(call: Call) -> tuple[str, str]:
    """How a call ends, and the message."""
    try:
        call.make()
    except Exception as error:
        raised_in = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        message = f"{type(error).__name__}: {error}"
        is_ours = raised_in.is_relative_to(OURS) and ".venv" not in raised_in.parts
        return ("clear" if is_ours and _is_sentence(str(error)) else "unclear"), message
    return "accepted", ""


def _is_sentence(text: str) -> bool:
    """Whether a message is one line of bearable length, with a remedy after a colon."""
    return "\n" not in text and len(text) <= LONGEST and ": " in text


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for call in calls():
        kind, message = ending(call)
        print(json.dumps({"call": call.name, "ending": kind, "message": message}))
