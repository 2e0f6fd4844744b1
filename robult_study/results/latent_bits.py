"""What the latents of trained models hold: notebook 08 asks whether L_rec keeps u_i.

Pairs of latents `(train, test)` are those of `collected`, named as `latents.collect` names them;
"x/text" and so on are the inputs themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from robult_core.datasets import MultimodalData
from robult_core.information import decompose_samples, permutation_baseline
from robult_core.method import Method
from robult_study.results.availability import modalities_present
from robult_study.results.intervals import paired, with_interval
from robult_study.results.latents import Latents, collect
from robult_study.results.layout import interval_table, listed
from robult_study.results.probes import Side, component_bits, explained, misdirection, probe_rows
from robult_study.results.tables import COLUMNS

Rows = tuple[np.ndarray, np.ndarray]  # training rows and test rows
UNTRAINED = "before training"
WITH, WITHOUT = "with L_rec", "without L_rec"
RAW = "raw input"
PROBE_ROWS = 1400  # training rows of the probes
FEW_ROWS = 70
READERS = {"full": (PROBE_ROWS, FEW_ROWS), "narrow": (PROBE_ROWS,)}  # by what g_i and g_0 can keep
ACCURACY = "accuracy from one modality"
PARTS = {
    "redundancy": "what both say",
    "unique1": "what only the first says",
    "unique2": "what only the second says",
    "synergy": "what only both together say",
}
CLUSTERS = 6  # states of a latent in the decomposition
NOTICED = 0.005  # a smaller difference changes nothing that a reader would notice
BOTH = "z and u"
LEFT = "share of h from z and u"
ASKED_BITS = {
    "own unique": "bits of u about its own unique bit",
    "redundancy": "bits of u about the shared bit",
}


def run_tag(state: str, maps: str) -> str:
    """The tag of the runs of Robult with or without L_rec through a kind of maps."""
    return f"{state}, {maps} maps"


TAGS = {run_tag(state, maps): (state, maps) for state, maps in product((WITH, WITHOUT), READERS)}


# Rows --------------------------------------------------------------------------------------------


def both_sides(data: MultimodalData, most: int, seed: int) -> Rows:
    """At most `most` training rows, drawn at random, and all test rows."""
    return probe_rows(data, most, seed), data.rows("test")


def classes(data: MultimodalData, rows: np.ndarray) -> np.ndarray:
    """The classes of rows `(n,)`."""
    return data.task.label_classes(data.targets[rows]).numpy()


def collected(model: Method, data: MultimodalData, rows: Rows) -> list[dict[str, np.ndarray]]:
    """The latents of the training rows and of the test rows, as `with_inputs` gives them."""
    return [with_inputs(model, data, side) for side in rows]


def with_inputs(model: Method, data: MultimodalData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The latents of rows, and the inputs of the same rows as flat vectors."""
    latents = collect(model, data, rows)
    for name, values in data.modalities.items():
        latents[f"x/{name}"] = values[rows].flatten(1).double().numpy()
    return latents


def seed_means(frames: Iterable[pd.DataFrame], by: Sequence[str]) -> pd.DataFrame:
    """The mean of `value` over whatever `by` does not name, in practice over modalities."""
    rows = pd.concat(frames, ignore_index=True)
    return rows.groupby(list(by), sort=False)["value"].mean().reset_index()


# Where z lies ------------------------------------------------------------------------------------


def distances_title(numbers: pd.DataFrame) -> str:
    """How far z is from s in each model of one run, as the title of their maps.

    numbers: rows of `geometry.describe` of one data set and seed with the column state. What
    training does is said by whether the distance is smaller after it than before.
    """
    of_z = numbers[(numbers["role"] == "z") & (numbers["measure"] == "alignment to s")]
    distance = of_z.set_index("state")["value"]
    closer = "takes z to s" if distance[WITH] < distance[UNTRAINED] else "does not take z to s"
    words = listed(f"{COLUMNS.get(state, state)} {value:.2f}" for state, value in distance.items())
    return f"Training {closer}; mean squared distance: {words}"


def modality_told(summary: pd.DataFrame, names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Accuracy of "which modality is this z from?", a row per data set, a column per model.

    summary: intervals of `geometry.describe` by data_set, state, role and measure; names: the
    modalities of each data set, of which guessing names one in M.
    """
    chosen = summary[(summary["role"] == "z") & (summary["measure"] == "probe: modality")]
    table = interval_table(chosen, ["data_set"], "state").rename(columns=COLUMNS)
    table.insert(0, "guessing", [1 / len(names[data_set]) for data_set in table.index])
    return table


def told_title(summary: pd.DataFrame) -> str:
    """How well the modality and the class of an aligned z are told, over the data sets."""
    aligned = summary[(summary["role"] == "z") & (summary["state"] == WITH)]
    levels = aligned.groupby("measure")["mean"].agg(["min", "max"])
    spans = {}
    for asked in ("modality", "class"):
        low, high = levels.loc[f"probe: {asked}"]
        spans[asked] = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
    return (
        "A linear reader tells the modality of a z of Robult with L_rec with accuracy "
        f"{spans['modality']}, its class with {spans['class']}"
    )


# Bits and shares on pid --------------------------------------------------------------------------


def bits_by_reader(
    train: Latents,
    test: Latents,
    components: Mapping[str, np.ndarray],
    rows: Rows,
    maps: str,
    state: str,
) -> pd.DataFrame:
    """Rows of `probes.component_bits` for each of the `READERS` of a kind of maps.

    Columns beyond those: state and reader. The inputs are read once, with the untrained model.
    """
    roles = "xszu" if state == UNTRAINED else "szu"
    frames = []
    for most in READERS[maps]:
        few = {name: latent[:most] for name, latent in train.items()}
        frame = component_bits(few, test, components, (rows[0][:most], rows[1]), roles)
        frames.append(frame.assign(reader=reader(maps, most)))
    table = pd.concat(frames, ignore_index=True)
    table["state"] = np.where(table["role"] == "x", RAW, state)
    return table


def reader(maps: str, most: int) -> str:
    """The name of a probe that is fitted on `most` rows."""
    return f"{maps} maps, probe on {most} rows"


def with_ceiling(spread: pd.DataFrame) -> pd.DataFrame:
    """Intervals by role, with those of the raw input beside both z and u."""
    raw = spread[spread["role"] == "x"]
    ceilings = [raw.assign(role=role) for role in "zu"]
    return pd.concat([*ceilings, spread[spread["role"] != "x"]])


def own_bit_title(spread: pd.DataFrame) -> str:
    """How much of its modality's own bit z and u hold; spread: intervals of one reader."""
    own = spread[(spread["component"] == "own unique") & (spread["state"] == WITH)]
    own = own.set_index(own["role"].str[0])
    level = with_interval(own["mean"], own["half"], digits=2)
    return (
        f"Of the one bit that only its modality has, the shared part z keeps {level['z']}, "
        f"the unique part u {level['u']}"
    )


def recovered_shares(train: Latents, test: Latents, names: Sequence[str]) -> pd.DataFrame:
    """The share of the variance of h_i that z_i, u_i and both give back: known, value."""
    rows = []
    for name in names:
        for known in ("z", "u", BOTH):
            rows.append((known, explained(*_about_h(train, test, name, known))))
    return pd.DataFrame(rows, columns=["known", "value"])


def _about_h(train: Latents, test: Latents, name: str, known: str) -> list[Side]:
    """h of a modality as what is asked about the latents in `known`, on both sides."""
    sides = []
    for side in (train, test):
        latents = [side[f"{role}/{name}"] for role in known.split(" and ")]
        sides.append(Side(np.concatenate(latents, axis=1), side[f"h/{name}"]))
    return sides


def narrow_quantities(
    train: Latents,
    test: Latents,
    components: Mapping[str, np.ndarray],
    rows: Rows,
    names: Sequence[str],
) -> pd.DataFrame:
    """What is left of h_i in z_i and u_i, and the bits of u_i: quantity, value."""
    quantities = []
    for name in names:
        sides = _about_h(train, test, name, BOTH)
        quantities.append((LEFT, explained(*sides)))
        quantities.append(
            ("1 - cos² of h and its ridge regression on z and u", misdirection(*sides))
        )
    bits = component_bits(train, test, components, rows, "u")
    for component, value in zip(bits["component"], bits["value"], strict=True):
        quantities.append((f"bits of u: {component}", value))
    return pd.DataFrame(quantities, columns=["quantity", "value"])


def training_quantities(curves: pd.DataFrame, weight: float, accuracy: float) -> pd.DataFrame:
    """The accuracy, and the mean of the last five values of L_rec without its weight.

    L_rec is there where it was trained. The columns are quantity and value.
    """
    rows = [(ACCURACY, accuracy)]
    if weight:
        weighted = curves.loc[curves["term"] == "reconstruction", "value"]
        rows.append(("L_rec at the end of training", weighted.iloc[-5:].mean() / weight))
    return pd.DataFrame(rows, columns=["quantity", "value"])


def single_accuracy(table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """The accuracy from one modality, mean over modalities, for each group of runs."""
    single = modalities_present(table) == 1
    rows = table[single & (table["metric"] == "accuracy") & (table["variant"] == "")]
    return rows.groupby(list(by))["value"].mean()


# The decomposition of real latents ---------------------------------------------------------------


def decomposed(
    latents: Latents, pair: Sequence[str], labels: np.ndarray, seed: int, n_shuffles: int
) -> pd.DataFrame:
    """What x, z and u of two modalities tell about the label: role, labels, part, value in bits.

    The same is said with shuffled labels, as the mean over `n_shuffles`.
    """
    rows = []
    for role in "xzu":
        first, second = (latents[f"{role}/{name}"] for name in pair)
        true = [decompose_samples(first, second, labels, CLUSTERS, seed)]
        shuffled = permutation_baseline(first, second, labels, CLUSTERS, seed, n_shuffles)
        for kind, answers in {"true labels": true, "labels shuffled": shuffled}.items():
            for part, value in pd.DataFrame(map(asdict, answers)).mean().items():
                rows.append((RAW if role == "x" else role, kind, part, value))
    return pd.DataFrame(rows, columns=["role", "labels", "part", "value"])


def parts_title(by_role: pd.DataFrame) -> str:
    """The largest part in z above its shuffled twin, over all data sets and set by set."""
    of_z = by_role[by_role["role"] == "z"]
    by_labels = of_z.pivot(index=["data_set", "part"], columns="labels", values="mean")
    above = (by_labels["true labels"] - by_labels["labels shuffled"]).unstack("part")
    largest = above.mean().idxmax()
    on_sets = (above.idxmax(axis=1) == largest).sum()
    return (
        f"The largest part in z is {PARTS[largest]}: {above[largest].mean():.2f} bits more than "
        f"with shuffled labels in the mean, the largest on {on_sets} of {len(above)} sets"
    )


def unseen(data: MultimodalData, seen: np.ndarray) -> np.ndarray:
    """The rows whose label a run did not see."""
    return np.setdiff1d(np.arange(len(data)), seen)


# The verdict -------------------------------------------------------------------------------------


def questions(
    shares: pd.DataFrame, bits: pd.DataFrame, numbers: pd.DataFrame, table: pd.DataFrame
) -> pd.DataFrame:
    """Every quantity of the verdict by state and seed; table: the rows of the runs."""
    left = shares[shares["known"] == BOTH]
    asked = [left.assign(quantity=left["maps"].map(left_quantity))]
    for component in ASKED_BITS:
        of_u = bits[(bits["role"] == "u") & (bits["component"] == component)]
        quantity = [bits_quantity(component, name) for name in of_u["reader"]]
        asked.append(of_u.assign(quantity=quantity))
    probed = numbers[(numbers["role"] == "u") & (numbers["measure"] == "probe: class")]
    asked.append(probed.assign(quantity="class probe on u (" + probed["data_set"] + "), full maps"))
    accuracy = single_accuracy(table, ["data_set", "tag", "seed"]).reset_index()
    state_and_maps = accuracy["tag"].map(TAGS)
    accuracy["state"] = state_and_maps.str[0]
    accuracy["maps"] = state_and_maps.str[1]
    where = accuracy["data_set"] + "), " + accuracy["maps"] + " maps"
    asked.append(accuracy.assign(quantity=f"{ACCURACY} (" + where))
    return pd.concat(asked, ignore_index=True)


def left_quantity(maps: str) -> str:
    """The name of the share of h that z and u give back through a kind of maps."""
    return f"{LEFT} (pid), {maps} maps"


def bits_quantity(component: str, reader_name: str) -> str:
    """The name of the bits of u about a component of `ASKED_BITS`, as a `reader` finds them."""
    return f"{ASKED_BITS[component]}, {reader_name}"


def compare(asked: pd.DataFrame) -> pd.DataFrame:
    """With minus without L_rec for each quantity, paired by seed, and the verdict in words."""
    compared = paired(asked, WITH, WITHOUT, ["quantity"], "state")
    more = compared["low"] > 0
    less = compared["high"] < 0
    verdict = np.select([more, less], ["more with L_rec", "less with L_rec"], "no difference seen")
    small = (more | less) & (compared["difference"].abs() < NOTICED)
    compared["verdict"] = pd.Series(verdict, compared.index) + np.where(
        small, f", below {NOTICED}", ""
    )
    return compared


def verdict_text(
    compared: pd.DataFrame, bits: pd.DataFrame, recovered: pd.DataFrame, maps: str
) -> str:
    """The verdict on one kind of maps, as markdown; recovered: intervals of the shares of h."""
    sentences = _sentences(compared)
    all_rows = reader(maps, PROBE_ROWS)
    of_u = bits[(bits["reader"] == all_rows) & (bits["role"] == "u")]
    level = of_u[of_u["state"] == WITH].groupby("component")["value"].mean()
    unique, shared = level["own unique"], level["redundancy"]
    of_all = bits[(bits["reader"] == all_rows) & (bits["state"] == WITH)]
    mostly = "mostly the unique part"
    if shared > unique / 2:
        mostly = "more than the unique part"
    left = recovered[(recovered["maps"] == maps) & (recovered["state"] == WITHOUT)]
    left = left.set_index("known")["mean"]
    about_left = sentences[left_quantity(maps)]
    about_unique = sentences[bits_quantity("own unique", all_rows)]
    return f"""
**{maps.capitalize()} maps**

- Entropy of h given z and u: without L_rec z and u give back {left[BOTH]:.3f} of the variance of h,
  and z alone {left["z"]:.3f}; L_rec changes the first by {about_left}.
- Unique information in u, bits: {about_unique} (with it {unique:.2f} of 1).
- Is u unique? With L_rec it holds {shared:.2f} bits about the *shared* bit as well: u is {mostly}.
- Is z only shared? {kept_sentence(of_all)}
- Accuracy from a single modality: {_counted(compared, maps)}.
"""


def kept_sentence(bits: pd.DataFrame) -> str:
    """How much z keeps of what is unique, beside u and s; bits: of one reader and state."""
    own = bits[bits["component"] == "own unique"]
    level = own.groupby("role")["value"].mean()
    more = paired(own, "z", "u", ["component"], "role").iloc[0]
    return (
        f"With L_rec it holds {level['z']:.2f} bits about its modality's *own* bit, "
        f"{_with_interval(more)} against u. The s that it is aligned with holds {level['s']:.2f} "
        "bits about such a bit, for it is made from all modalities."
    )


def _sentences(compared: pd.DataFrame) -> dict[str, str]:
    sentences = {}
    for row in compared.itertuples():
        sentences[row.quantity] = f"{_with_interval(row)}, **{row.verdict}**"
    return sentences


def _with_interval(row: Any) -> str:
    """The difference of a row of `paired`, with its interval where there is one."""
    interval = "" if np.isnan(row.low) else f" ({row.low:+.3f} to {row.high:+.3f})"
    return f"{row.difference:+.3f}{interval}"


def _counted(compared: pd.DataFrame, maps: str) -> str:
    """On how many sets each verdict on the accuracy was reached."""
    quantity = compared["quantity"]
    chosen = quantity.str.startswith(ACCURACY) & quantity.str.endswith(f"{maps} maps")
    counts = compared.loc[chosen, "verdict"].value_counts()
    verdicts = ", ".join(f"{verdict} on {count}" for verdict, count in counts.items())
    return f"{verdicts}, of {chosen.sum()} sets"
