"""The worlds of notebook 01, and what alignment, estimators and learners make of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from robult_core import information
from robult_core.datasets.pid import CASES, COMPONENTS, generating_table, load_pid, pid_truth
from robult_core.information import PID
from robult_study.results.intervals import paired, summarize, with_interval
from robult_study.results.layout import interval_table

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]  # x1, x2 and y
ATOMS = (((0,), (1,)), ((0,),), ((1,),), ((0, 1),))  # of the lattice of dit, as in `COMPONENTS`
WIDTHS = (1, 2, 4, 8, 16)  # directions that CCA and PCA keep
DIRECTIONS = "directions of the first modality"  # their number, as the axis names it
TEST_SAMPLES = 4000
INPUTS = {"x1": [0], "x2": [1], "x1+x2": [0, 1]}  # columns of the example


# Exact worlds ------------------------------------------------------------------------------------


def worlds() -> dict[str, np.ndarray]:
    """Five joint tables `P[x1, x2, y]` with known answers."""
    return {
        "copy": np.diag([0.5, 0.5])[:, :, None] * np.eye(2)[:, None, :],
        "unique": information.gate_table(lambda a, b: a),
        "both": information.gate_table(lambda a, b: 2 * a + b),
        "XOR": information.gate_table(lambda a, b: a ^ b),
        "AND": information.gate_table(lambda a, b: a & b),
    }


def by_hand() -> pd.DataFrame:
    """The parts of `worlds` worked out by hand, in bits.

    The unique parts of AND are 0 by symmetry, so its redundancy is I(X1;Y).
    """
    rows = {
        "copy": (1, 0, 0, 0),
        "unique": (0, 1, 0, 0),
        "both": (0, 1, 1, 0),
        "XOR": (0, 0, 0, 1),
        "AND": (1.5 - 0.75 * np.log2(3), 0, 0, 0.5),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=COMPONENTS)


def parts(answers: Mapping[Any, PID], name: str) -> pd.DataFrame:
    """Decompositions as a frame: one row per answer, under the name of what they differ in."""
    rows = {key: asdict(answer) for key, answer in answers.items()}
    return pd.DataFrame(rows).T.rename_axis(name)


def by_dit(table: np.ndarray) -> dict[str, float]:
    """The decomposition of a joint table by the library dit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside dit
        import dit

    cells = ["".join(map(str, cell)) for cell in np.ndindex(table.shape)]
    distribution = dit.Distribution(cells, table.ravel())
    lattice = dit.pid.PID_BROJA(distribution, [[0], [1]], [2])
    return {name: lattice.get_pi(atom) for name, atom in zip(COMPONENTS, ATOMS, strict=True)}


def random_tables(count: int, seed: int) -> list[np.ndarray]:
    """Random joint tables of three bits."""
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(8)).reshape(2, 2, 2) for _ in range(count)]


def dit_sentence(count: int, seed: int) -> str:
    """In how many random tables our synergy is at least that of dit, and the largest difference."""
    gains = []
    for table in random_tables(count, seed):
        gains.append(information.decompose(table).synergy - by_dit(table)["synergy"])
    at_least = sum(gain > -1e-4 for gain in gains)
    return (
        f"random 2x2x2 tables where our synergy is at least that of dit: {at_least} of {count}; "
        f"largest difference {max(gains, key=abs):+.4f} bits"
    )


def aligned(table: np.ndarray) -> np.ndarray:
    """`P[z, y]` of the finest z that is a function of each modality (Gács and Körner 1973)."""
    from scipy.sparse.csgraph import connected_components

    pairs = table.sum(2) > 0
    n1, n2 = pairs.shape
    square = np.block([[np.zeros((n1, n1)), pairs], [pairs.T, np.zeros((n2, n2))]])
    piece = connected_components(square)[1][:n1]
    return np.array([table.sum(1)[piece == number].sum(0) for number in np.unique(piece)])


def alignment_worlds() -> dict[str, np.ndarray]:
    """The cases of `pid`, and AND, in which redundancy is no shared part of the inputs."""
    return {name: generating_table(name) for name in CASES} | {"AND": worlds()["AND"]}


def kept_by_alignment(tables: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Bits about the label and accuracy ceilings of the first modality and of its aligned part."""
    rows = {}
    for name, table in tables.items():
        pid = information.decompose(table)
        z = aligned(table)
        rows[name] = {
            "R": pid.redundancy,
            "U1": pid.unique1,
            "I(z;Y)": information.mutual_information(z),
            "ceiling x1": table.sum(1).max(-1).sum(),
            "ceiling z": z.max(-1).sum(),
        }
    return pd.DataFrame(rows).T.rename_axis("case")


# Estimates from samples --------------------------------------------------------------------------


def and_samples(n: int, seed: int) -> Samples:
    """Samples of two fair bits and their AND."""
    a, b = np.random.default_rng(seed).integers(0, 2, (2, n))
    return a, b, a & b


def pid_samples(n: int, seed: int) -> Samples:
    """The features and labels of `pid`, case noisy."""
    data = load_pid("noisy", n=n, seed=seed)
    x1, x2 = (features.numpy() for features in data.modalities.values())
    return x1, x2, data.targets.numpy()


def estimates(
    samples: Samples, seed: int, training: Mapping[str, int], cached: Callable
) -> Iterator[tuple[str, PID]]:
    """The answer of each estimator; training: settings of BATCH, cached: `Notebook.cached`."""
    plug_in = cached(information.decompose_samples)
    shuffled = cached(information.permutation_baseline)
    batch = cached(information.batch_estimate)
    yield "plug-in", plug_in(*samples, clusters=8, seed=seed)
    yield "plug-in, y shuffled", shuffled(*samples, clusters=8, seed=seed, n_permutations=1)[0]
    yield "BATCH", batch(*samples, seed=seed, **training)
    if samples[0].ndim > 1:  # the bits of AND are states already
        yield "plug-in, 20 clusters", plug_in(*samples, clusters=20, seed=seed)


def beside_truth(answers: Iterator[tuple[str, PID]], truth: PID) -> pd.DataFrame:
    """Estimates and the exact values: method, part, bits, exact."""
    rows = []
    for method, answer in answers:
        for part in COMPONENTS:
            rows.append((method, part, getattr(answer, part), getattr(truth, part)))
    return pd.DataFrame(rows, columns=["method", "part", "bits", "exact"])


def sampled_worlds() -> dict[str, tuple[Callable[[int, int], Samples], PID]]:
    """The worlds that are estimated: a function of n and seed that draws samples, and the truth."""
    return {
        "AND": (and_samples, information.decompose(worlds()["AND"])),
        "pid": (pid_samples, pid_truth("noisy")["pid"]),
    }


def estimated(
    sizes: Iterable[int], seeds: Iterable[int], training: Mapping[str, int], cached: Callable
) -> pd.DataFrame:
    """`estimates` of `sampled_worlds` beside the truth, by world, number of samples and seed."""
    frames = []
    for n in sizes:
        for world, (draw, truth) in sampled_worlds().items():
            for seed in seeds:
                answers = estimates(draw(n, seed), seed, training, cached)
                frame = beside_truth(answers, truth)
                frames.append(frame.assign(world=world, samples=n, seed=seed))
    return pd.concat(frames, ignore_index=True)


def _of_true_labels(estimated: pd.DataFrame) -> pd.DataFrame:
    """The rows of `estimated` whose labels were not shuffled, with their `error` in bits."""
    rows = estimated[~estimated["method"].str.contains("shuffled")]
    return rows.assign(error=rows["bits"] - rows["exact"])


def errors(estimated: pd.DataFrame) -> pd.DataFrame:
    """Absolute error in bits, mean over the four parts, with its interval over the seeds."""
    rows = _of_true_labels(estimated)
    by = ["world", "method", "samples"]
    means = rows["error"].abs().groupby([rows[name] for name in [*by, "seed"]], sort=False).mean()
    table = summarize(means.rename("value").reset_index(), by)
    return table[[*by, "mean", "half"]]


def signed_errors(estimated: pd.DataFrame) -> pd.DataFrame:
    """Estimate minus truth of every part with the fewest samples, over the seeds, as text."""
    rows = _of_true_labels(estimated)
    rows = rows[rows["samples"] == rows["samples"].min()].rename(columns={"error": "value"})
    summary = summarize(rows, ["world", "method", "part"])
    return interval_table(summary, ["world", "method"], "part", sign=True)


# Alignment from samples --------------------------------------------------------------------------


def readable_bits(
    features: np.ndarray, bit: np.ndarray, train: np.ndarray, test: np.ndarray
) -> float:
    """1 minus the cross-entropy in bits of logistic regression; it can dip below 0."""
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression().fit(features[train], bit[train])
    p_true = probe.predict_proba(features[test])[np.arange(len(test)), bit[test]]
    return 1 + np.log2(p_true).mean()


def aligned_directions(seed: int) -> pd.DataFrame:
    """Bits that the first directions of CCA and PCA hold about a shared and a unique bit."""
    from sklearn.cross_decomposition import CCA
    from sklearn.decomposition import PCA

    data = load_pid("shared_and_unique", seed=seed)
    train, test = data.rows("train"), data.rows("test")
    x1, x2 = (features.double().numpy() for features in data.modalities.values())
    rows = []
    for width in WIDTHS:
        views = {
            "aligned (CCA)": CCA(width, max_iter=5000).fit(x1[train], x2[train]).transform(x1),
            "not aligned (PCA)": PCA(width).fit(x1[train]).transform(x1),
        }
        for method, view in views.items():
            for part in ("redundancy", "unique1"):
                bits = readable_bits(view, data.display["components"][part], train, test)
                rows.append((seed, width, method, part, bits))
    columns = ["seed", DIRECTIONS, "representation", "component"]
    return pd.DataFrame(rows, columns=[*columns, "bits about the component"])


# The example of the introduction -----------------------------------------------------------------


def example(x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both modalities `(n, 2)` and y `(n,)`: linear in both, a function of the first alone."""
    wave = np.sin(5 * np.pi * x1 + 1)
    return np.column_stack([x1, wave - x1]), (wave > 0).astype(int)


def bins(x: np.ndarray, count: int) -> np.ndarray:
    """Numbers as the index of one of `count` equal bins over their whole range."""
    place = (x - x.min()) / np.ptp(x) * count
    return np.minimum(place.astype(int), count - 1)


def resolved(largest_power: int) -> pd.DataFrame:
    """The decomposition of the example in 2, 4, … 2^`largest_power` bins per modality."""
    features, y = example(np.linspace(-1, 1, 20001))
    answers = {}
    for count in 2 ** np.arange(1, largest_power + 1):
        answers[int(count)] = information.decompose_samples(*bins(features, count).T, y)
    return parts(answers, "bins per modality")


def learned(n: int, seed: int) -> pd.DataFrame:
    """Test accuracy on the example of two learners from each input after `n` samples."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    recipe = {"solver": "lbfgs", "alpha": 1e-3, "max_iter": 400, "random_state": seed}
    rows = []
    for name, columns in INPUTS.items():
        models = {"linear": LogisticRegression(C=100), "network": MLPClassifier((32, 32), **recipe)}
        for kind, model in models.items():
            rows.append((kind, name, n, seed, _accuracy(model, columns, n, seed)))
    columns = ["model", "input", "training samples", "seed", "test accuracy"]
    return pd.DataFrame(rows, columns=columns)


def learned_by_size(sizes: Sequence[int], seeds: Iterable[int]) -> pd.DataFrame:
    """`learned` after each number of samples, for each seed."""
    return pd.concat([learned(n, seed) for seed in seeds for n in sizes], ignore_index=True)


def _accuracy(model: Any, columns: list[int], n: int, seed: int) -> float:
    from sklearn.exceptions import ConvergenceWarning

    rng = np.random.default_rng([seed, n])
    x, y = example(rng.uniform(-1, 1, n))
    x_test, y_test = example(rng.uniform(-1, 1, TEST_SAMPLES))
    with warnings.catch_warnings():
        # the iteration limit is part of the recipe
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x[:, columns], y).score(x_test[:, columns], y_test)


# In words ----------------------------------------------------------------------------------------


def chosen(frame: pd.DataFrame, value: str, conditions: Mapping[str, object]) -> pd.DataFrame:
    """The rows where columns have the given values, with the column `value` under that name."""
    fits = (frame[list(conditions)] == list(conditions.values())).all(axis=1)
    return frame[fits].rename(columns={value: "value"})


def over_seeds(frame: pd.DataFrame, value: str, conditions: Mapping[str, object]) -> str:
    """Mean and 95 % interval over seeds of the chosen rows, as text."""
    summary = summarize(chosen(frame, value, conditions), list(conditions))
    return with_interval(summary["mean"], summary["half"], digits=2).iloc[0]


# Titles of figures -------------------------------------------------------------------------------


def errors_title(estimated: pd.DataFrame) -> str:
    """How far estimates of one world are off with the fewest and with the most samples.

    Those of shuffled labels are left out.
    """
    rows = _of_true_labels(estimated)
    means = rows["error"].abs().groupby(rows["samples"]).mean()
    few, many = means.index[[0, -1]]
    return (
        f"Estimates of {estimated['world'].iloc[0]} from {few} samples err by {means[few]:.2f} "
        f"bits a part in the mean, from {many} by {means[many]:.2f}"
    )


def direction_title(probed: pd.DataFrame) -> str:
    """What the first aligned direction holds of each component, in the mean over seeds."""
    first = probed[DIRECTIONS].eq(1) & probed["representation"].eq("aligned (CCA)")
    bits = probed[first].groupby("component")["bits about the component"].mean()
    return (
        f"One aligned direction holds {bits['redundancy']:.2f} bits of what is shared and "
        f"{bits['unique1']:.2f} of what is unique"
    )


def synergy_title(seen: pd.DataFrame) -> str:
    """The most synergy of the example, and that with the finest bins; seen: `resolved`."""
    synergy = seen["synergy"]
    return (
        f"Synergy of the example: {synergy.max():.2f} bits with {synergy.idxmax()} bins, "
        f"{synergy.iloc[-1]:.2f} with {synergy.index[-1]}"
    )


def learning_title(learned: pd.DataFrame) -> str:
    """The network's mean accuracy from the first modality and from both after the most samples."""
    most = learned["training samples"].max()
    last = learned[learned["training samples"].eq(most) & learned["model"].eq("network")]
    accuracy = last.groupby("input")["test accuracy"].mean()
    return (
        f"After {most} samples a network reaches {accuracy['x1']:.2f} from the first "
        f"modality alone, {accuracy['x1+x2']:.2f} from both"
    )


# The verdict -------------------------------------------------------------------------------------


def verdict_table(
    cases: pd.DataFrame,
    kept: pd.DataFrame,
    probed: pd.DataFrame,
    seen: pd.DataFrame,
    accuracies: pd.DataFrame,
) -> pd.DataFrame:
    """What the paper says in its motivation, the verdict on it, and the number behind that.

    cases: the parts of `CASES`, a row per case. kept: `kept_by_alignment`. seen: `resolved`.
    probed and accuracies: the rows of `aligned_directions` and of `learned` over all seeds.
    """
    network = {"model": "network", "training samples": 100}
    nets = chosen(accuracies, "test accuracy", network)
    lead = paired(nets, "x1+x2", "x1", ["model"], "input").iloc[0]
    words = {"better": "holds", "worse": "the contrary", "undecided": "undecided with these seeds"}
    rows = [
        ("Eq. 1: four parts", "holds once defined", _dial_words(cases)),
        (
            "alignment captures R",
            "only R that sits in a shared part of the inputs",
            _missed_words(kept),
        ),
        ("alignment can diminish U", "holds, less so in wide spaces", _direction_words(probed)),
        (
            "the example demonstrates synergy",
            "not as information, where no part is negative",
            _synergy_words(seen),
        ),
        (
            "X1 alone is harder to learn from",
            words[lead["verdict"]],
            _accuracy_words(accuracies, network, lead),
        ),
    ]
    return pd.DataFrame(rows, columns=["statement of the paper", "verdict here", "number"])


def _dial_words(cases: pd.DataFrame) -> str:
    columns = list(COMPONENTS)
    dials = pd.DataFrame({name: asdict(case) for name, case in CASES.items()}).T
    gap = (cases[columns] - dials[columns]).abs().to_numpy().max()
    return f"part and dial of pid differ by at most {gap:.0e} bits"


def _missed_words(kept: pd.DataFrame) -> str:
    missed = kept["R"] - kept["I(z;Y)"]
    of_pid = missed.drop("AND").abs().max()
    return f"R - I(z;Y) is at most {of_pid:.0e} bits for pid, {missed['AND']:.2f} for AND"


def _direction_words(probed: pd.DataFrame) -> str:
    bits = {}
    for count in (1, 16):
        conditions = {
            "representation": "aligned (CCA)",
            "component": "unique1",
            DIRECTIONS: count,
        }
        bits[count] = over_seeds(probed, "bits about the component", conditions)
    return f"bits of U1: {bits[1]} in one aligned direction, {bits[16]} in sixteen"


def _synergy_words(seen: pd.DataFrame) -> str:
    synergy = seen["synergy"]
    return (
        f"from {synergy.max():.2f} to {synergy.iloc[-1]:.2f} bits as bins get finer, "
        "and is 0 in the limit"
    )


def _accuracy_words(
    accuracies: pd.DataFrame, network: Mapping[str, object], lead: pd.Series
) -> str:
    """The accuracies of a network from x1 and from both, and their paired difference `lead`."""
    accuracy = {}
    for name in ("x1", "x1+x2"):
        conditions = {**network, "input": name}
        accuracy[name] = over_seeds(accuracies, "test accuracy", conditions)
    row = lead.to_frame().T
    difference = with_interval(row["difference"], row["half"], digits=2, sign=True).iloc[0]
    return (
        f"network after 100 samples: {accuracy['x1']} from x1, {accuracy['x1+x2']} from both, "
        f"paired difference {difference}"
    )
