"""What latents hold, on latents that are made so that the answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from robult_study.results import latent_bits
from robult_study.results.intervals import summarize


def made_latents(n: int, seed: int) -> dict[str, np.ndarray]:
    """h of two columns; z holds the first of them and u the second."""
    h = np.random.default_rng(seed).standard_normal((n, 2))
    return {"h/x1": h, "z/x1": h[:, :1], "u/x1": h[:, 1:]}


def test_shares_add_up_where_z_and_u_split_h():
    shares = latent_bits.recovered_shares(made_latents(400, 0), made_latents(400, 1), ["x1"])
    share = shares.set_index("known")["value"]
    assert share["z"] == pytest.approx(0.5, abs=0.1)
    assert share["u"] == pytest.approx(0.5, abs=0.1)
    assert share["z and u"] == pytest.approx(1, abs=1e-3)


def test_the_ceiling_stands_beside_both_parts():
    spread = pd.DataFrame({"role": ["x", "z", "u"], "mean": [1.0, 0.5, 0.2]})
    drawn = latent_bits.with_ceiling(spread)
    assert drawn["role"].tolist() == ["z", "u", "z", "u"]
    assert drawn["mean"].tolist() == [1.0, 1.0, 0.5, 0.2]


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (0.1, "more with L_rec"),
        (-0.1, "less with L_rec"),
        (0.004, "more with L_rec, below 0.005"),
        (0.0, "no difference seen"),
    ],
)
def test_verdicts_need_an_interval_without_zero_and_name_what_nobody_notices(difference, verdict):
    noise = [0.0, 0.0001, -0.0001, 0.00005]
    rows = []
    for seed, shift in enumerate(noise):
        rows.append(("bits", "with L_rec", seed, 0.5 + difference + shift))
        rows.append(("bits", "without L_rec", seed, 0.5))
    asked = pd.DataFrame(rows, columns=["quantity", "state", "seed", "value"])
    assert latent_bits.compare(asked)["verdict"].tolist() == [verdict]


def test_a_copied_label_is_redundant_and_shuffling_takes_it_away():
    label = np.random.default_rng(0).integers(0, 2, 400)
    noise = 0.1 * np.random.default_rng(1).standard_normal((400, 2))
    points = np.column_stack([label * 2.0 - 1, np.ones(400)]) + noise
    held = {f"{role}/{name}": points for role in "xzu" for name in ("x1", "x2")}
    table = latent_bits.decomposed(held, ["x1", "x2"], label, 0, 2)
    redundancy = table[table["part"] == "redundancy"].set_index(["role", "labels"])["value"]
    assert redundancy["z", "true labels"] == pytest.approx(1, abs=0.02)
    assert redundancy["z", "labels shuffled"] < 0.1
    assert set(table["role"]) == {"raw input", "z", "u"}


def rows_of(n_seeds: int, **columns: object) -> pd.DataFrame:
    """Rows with and without L_rec, by seed; with it, every value is larger by 0.1."""
    tables = []
    for state, gain in (("with L_rec", 0.1), ("without L_rec", 0.0)):
        seeds = np.arange(n_seeds)
        values = 0.5 + gain + 0.001 * seeds**2 * gain
        tables.append(pd.DataFrame({"state": state, "seed": seeds, "value": values}))
    return pd.concat(tables, ignore_index=True).assign(**columns)


def test_the_verdict_finds_every_quantity_by_its_name():
    all_rows = latent_bits.reader("narrow", latent_bits.PROBE_ROWS)
    shares = [rows_of(4, maps="narrow", known=known) for known in ("z", latent_bits.BOTH)]
    bits = [rows_of(4, role=role, component="own unique") for role in "sz"]
    bits += [rows_of(4, role="u", component=name) for name in latent_bits.ASKED_BITS]
    numbers = rows_of(4, role="u", measure="probe: class", data_set="digits")
    runs = rows_of(4, data_set="digits", metric="accuracy", variant="", pattern="top_left")
    runs["tag"] = [latent_bits.run_tag(state, "narrow") for state in runs["state"]]
    shares, bits = pd.concat(shares), pd.concat(bits).assign(reader=all_rows)
    asked = latent_bits.questions(shares, bits, numbers, runs.drop(columns="state"))
    compared = latent_bits.compare(asked)
    assert compared["quantity"].tolist() == [
        "share of h from z and u (pid), narrow maps",
        "bits of u about its own unique bit, narrow maps, probe on 1400 rows",
        "bits of u about the shared bit, narrow maps, probe on 1400 rows",
        "class probe on u (digits), full maps",
        "accuracy from one modality (digits), narrow maps",
    ]
    assert (compared["verdict"] == "more with L_rec").all()
    recovered = summarize(shares, ["maps", "state", "known"])
    text = latent_bits.verdict_text(compared, bits, recovered, "narrow")
    assert "**Narrow maps**" in text
    assert "more than the unique part" in text
    assert "Is z only shared? With L_rec it holds 0.60 bits" in text
    assert "more with L_rec on 1, of 1 sets" in text


@pytest.mark.parametrize(
    ("n_seeds", "difference"), [(3, "+0.100 (+0.100 to +0.100) against u"), (2, "+0.100 against u")]
)
def test_what_the_shared_part_keeps_stands_beside_u_and_s(n_seeds, difference):
    rows = []
    for role, value in (("s", 0.99), ("z", 0.94), ("u", 0.84)):
        for seed in range(n_seeds):
            rows.append((role, seed, "own unique", value))
            rows.append((role, seed, "redundancy", 0.1))
    bits = pd.DataFrame(rows, columns=["role", "seed", "component", "value"])
    sentence = latent_bits.kept_sentence(bits)
    assert f"it holds 0.94 bits about its modality's *own* bit, {difference}" in sentence
    assert "with holds 0.99 bits" in sentence


def described(**distances: float) -> pd.DataFrame:
    rows = [(state, "z", "alignment to s", value) for state, value in distances.items()]
    rows += [(state, "u", "alignment to s", 1.9) for state in distances]
    return pd.DataFrame(rows, columns=["state", "role", "measure", "value"]).replace(STATES)


STATES = {"untrained": "before training", "trained": "with L_rec"}


@pytest.mark.parametrize(("after", "words"), [(0.5, "takes z to s"), (1.9, "does not take z to s")])
def test_the_title_of_the_maps_says_what_training_does_to_the_distance(after, words):
    title = latent_bits.distances_title(described(untrained=1.9, trained=after, gmc=0.61))
    distances = f"before training 1.90, with L_rec {after:.2f}, GMC 0.61"
    assert title == f"Training {words}; mean squared distance: {distances}"


def probed(*levels: tuple[str, str, float]) -> pd.DataFrame:
    rows = [(*level, "z", "probe: modality", 0.01) for level in levels]
    rows += [(*level[:2], 0.7, "z", "probe: class", 0.01) for level in levels]
    return pd.DataFrame(rows, columns=["data_set", "state", "mean", "role", "measure", "half"])


def test_the_modality_of_z_is_told_beside_a_guess():
    summary = probed(("digits", "with L_rec", 0.93), ("digits", "gmc", 0.95))
    table = latent_bits.modality_told(summary, {"digits": ("a", "b", "c", "d")})
    assert table.columns.tolist() == ["guessing", "with L_rec", "GMC"]
    assert table.loc["digits"].tolist() == [0.25, "0.930 ± 0.010", "0.950 ± 0.010"]


def test_the_title_of_the_numbers_spans_the_sets():
    summary = probed(("digits", "with L_rec", 0.93), ("cub10", "with L_rec", 0.998))
    title = latent_bits.told_title(summary)
    assert title.endswith("Robult with L_rec with accuracy 0.93 to 1.00, its class with 0.70")


def test_the_title_of_the_bits_is_that_of_the_trained_model():
    rows = [("z (shared part)", "with L_rec", 0.94), ("u (unique part)", "with L_rec", 0.84)]
    rows += [("z (shared part)", "before training", 0.1)]
    spread = pd.DataFrame(rows, columns=["role", "state", "mean"])
    title = latent_bits.own_bit_title(spread.assign(component="own unique", half=0.05))
    assert "z keeps 0.94 ± 0.05" in title
    assert title.endswith("the unique part u 0.84 ± 0.05")


def test_the_title_of_the_parts_takes_their_bias_off():
    rows = [("a", "true labels", "redundancy", 0.5), ("a", "labels shuffled", "redundancy", 0.1)]
    rows += [("a", "true labels", "synergy", 0.6), ("a", "labels shuffled", "synergy", 0.5)]
    rows += [("b", "true labels", "redundancy", 0.2), ("b", "labels shuffled", "redundancy", 0.2)]
    rows += [("b", "true labels", "synergy", 0.3), ("b", "labels shuffled", "synergy", 0.1)]
    frame = pd.DataFrame(rows, columns=["data_set", "labels", "part", "mean"]).assign(role="z")
    title = latent_bits.parts_title(frame)
    assert title == (
        "The largest part in z is what both say: 0.20 bits more than with shuffled labels in the "
        "mean, the largest on 1 of 2 sets"
    )
