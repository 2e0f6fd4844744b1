"""Each query says what stand-in tables say, and other words where they say otherwise."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from robult_study.report import queries
from robult_study.report.findings import ANSWERS

TABLES = {
    "01_aligned_exact": """case,R,U1,I(z;Y)
mixed,1.0,0.8,1.0000001
unique1,0.0,1.0,0.0
AND,0.31,0.0,0.0
""",
    "01_estimate_errors": """world,method,samples,mean,half
AND,BATCH,250,0.20,0.05
AND,plug-in,250,0.02,0.01
AND,BATCH,4000,0.01,0.005
AND,plug-in,4000,0.00,0.002
""",
    "01_verdicts": """statement of the paper,verdict here,number
the example demonstrates synergy,not as information,"from 0.48 to 0.09 bits"
X1 alone is harder to learn from,holds,"network after 100 samples: 0.92 ± 0.04 from x1"
""",
    "data_overview": """data set,labels a run sees
digits,63
mosi,65
""",
    "yardstick": """data_set,metric,pattern,mean,half,n,constant guess
digits,accuracy,left,0.5,0.1,10,0.1
digits,accuracy,left+right,0.1,0.1,10,0.1
mosi,mae,text,1.2,0.1,10,1.4
mosi,mae,audio,1.5,0.1,10,1.4
""",
    "paired_differences": """data_set,pattern,metric,against Unimodal,against linear
digits,left,accuracy,+0.140 ± 0.010 *,+0.022 ± 0.010 *
mosi,audio,mae,-0.023 ± 0.030,-0.213 ± 0.113 *
""",
    "04_mean_ranks": """method,all blocks (22),"within seeds, all blocks",one modality (17),\
"within seeds, one modality",every modality (5),"within seeds, every modality",\
one value per set (5),"within seeds, one value per set","all blocks, with controls (22)"
Robult,1.4,1.50 ± 0.12,1.6,1.70,1.3,1.40,1.1,1.20,1.9
GMC,1.9,2.00 ± 0.34,1.5,1.60,3.5,3.40,1.9,2.00,2.6
Unimodal,3.0,2.90 ± 0.56,3.0,2.90,2.7,2.80,2.9,2.80,3.3
linear distillation,,–,,–,,–,,–,1.8
""",
    "04_differences": """data_set,metric,verdict,holm,against,difference,pattern
a,accuracy,better,better,unimodal,0.2,all
a,accuracy,better,undecided,unimodal,0.1,all
b,mae,worse,undecided,unimodal,-0.1,all
c,accuracy,better,undecided,unimodal,0.1,all
c,accuracy,worse,undecided,unimodal,-0.1,all
a,accuracy,worse,worse,robult_distilled,-0.05,all
b,mae,undecided,undecided,robult_distilled,-0.30,all
c,accuracy,better,undecided,robult_distilled,0.01,all
""",
    "04_default_gains": """data_set,pattern,metric,linear,self-training
a,"one modality, mean of 2",accuracy,+0.166 ± 0.012 *,–
a,all,accuracy,+0.065 ± 0.010 *,+0.020 ± 0.030
b,"one modality, mean of 2",mae,-0.014 ± 0.030,–
b,all,mae,+0.020 ± 0.040,–
c,"one modality, mean of 2",accuracy,+0.010 ± 0.005 *,–
c,all,accuracy,-0.070 ± 0.020 *,-0.050 ± 0.020 *
""",
    "04_headline": """data_set,pattern,metric,Robult,Distilled Robult,Distilled Unimodal,\
self-training
a,"one modality, mean of 2",accuracy,0.5 ± 0.1,0.6,0.5,–
a,all,accuracy,0.8 ± 0.1,<b>0.9</b> ± 0.1,0.8,0.85 ± 0.1
b,all,mae,<b>0.7</b> ± 0.1,0.9,0.8,0.8 ± 0.1
""",
    "05_ours_pairs": """method,other,Nemenyi,Wilcoxon-Holm
unimodal,gmc,0.01,0.01
gmc,robult,0.22,0.007
unimodal,robult,0.003,0.00002
""",
    "05_per_set": """method,mean rank,within seeds,"p against Robult, Nemenyi",\
"p against Robult, Wilcoxon-Holm"
robult,1.5,1.60 ± 0.10,,
gmc,1.9,1.80 ± 0.12,0.04,0.9
robult_distilled,1.1,1.20 ± 0.30,0.8,0.9
""",
    "05_paper_pairs": """method,other,Nemenyi,Wilcoxon-Holm
GMC,Robult,0.5,0.039
Unimodal,Robult,0.06,0.05
""",
    "05_claims": """id,our runs on the data at hand
superior,reproduced
tied,not
linear,reproduced
""",
    "05_claims_counted": """grade,our runs on the data at hand
missing,1
not,4
reproduced,2
""",
    "06_answers": """data_set,without,the term is,one modality,full
a,(1) no L_sup,needed,-0.2,-0.1
b,(1) no L_sup,mixed,-0.1,-0.1
a,(2) no L_rec,not shown to matter,0.001,-0.004
b,(2) no L_rec,better without,0.001,0.002
a,(4) no L_ulb,needed,-0.1,-0.1
b,(4) no L_ulb,needed,-0.1,-0.1
""",
    "06_labeled_alone": """tag,one modality (mean)
no_unlabeled,-0.253 ± 0.040 *
"no L_ulb, labelled candidates",+0.009 ± 0.019
""",
    "07_verdict": """against,Robult clearly better,undecided,Robult clearly worse,\
"Robult clearly better, Holm","Robult clearly worse, Holm"
GMC,7,28,3,2,1
linear,2,32,4,0,2
""",
    "07_random_drop": """data_set,Robult,GMC
a,0.1 ± 0.01,0.2 ± 0.02
b,0.3 ± 0.03,0.2 ± 0.02
""",
    "07_missing_training": """data_set,view,missing,dropped,mean
a,one,30,-0.1 ± 0.05 *,+0.1 ± 0.05 *
a,one,70,–,+0.1 ± 0.20
""",
    "08_own_bit": """role,state,mean,half
z (shared part),before training,0.5,0.1
z (shared part),with L_rec,0.94,0.02
u (unique part),with L_rec,0.84,0.03
s (all modalities),with L_rec,0.96,0.01
""",
    "08_modality_probe": """data_set,guessing,before training,with L_rec,GMC
a,0.25,1.000 ± 0.000,0.930 ± 0.010,0.946
b,0.5,1.000,0.510 ± 0.020,–
""",
    "objective_22": """quantity,difference,low,high,verdict
"bits of u about its own unique bit, narrow maps, probe",-0.001,-0.04,0.038,no difference seen
"accuracy from one modality (a), full maps",0.0,-0.1,0.1,no difference seen
"accuracy from one modality (a), narrow maps",0.02,0.01,0.03,more with L_rec
""",
    "rec_weights_paired": """quantity,difference,low,high
share of h from z and u,-0.01,-0.04,0.01
bits of u: redundancy,0.355,0.167,0.542
bits of u: own unique,-0.002,-0.116,0.112
""",
    "09_verdict": """data_set,measure,rival,moment,verdict
a,precision,no weights,before training,RBF better
a,precision,no weights,after the start,RBF better
a,AUROC,confidence,before training,RBF better
a,AUROC,confidence,after the start,RBF worse
a,AUROC,cosine,after the start,RBF worse
a,AUROC,no weights,after the start,RBF better
""",
    "09_levels": """data_set,before training,after the start
a,0.608 ± 0.012,0.607 ± 0.013
""",
    "09_accuracy": """data_set,one modality (mean),"all, fused branch"
a,+0.010 ± 0.005 *,+0.1 ± 0.2
b,-0.010 ± 0.050,+0.1 ± 0.2
""",
    "10_patterns": """sensors,number,Distilled Robult,linear
left,1,0.6 ± 0.1,0.5
right,1,0.6,0.6 ± 0.1
left+right,2,0.8 ± 0.1,0.9 ± 0.1
""",
    "10_by_number": """sensors there,Distilled Robult,linear
1,0.60 ± 0.02,0.55 ± 0.03
2,0.8,0.9
""",
    "10_calibration": """sensors,plain,calibrated
all sensors,0.090 ± 0.010,0.030 ± 0.004
left,0.05,0.04
""",
}
SAID = {
    "alignment": "keeps what two modalities share and loses .* In 2 of 2 cases .* 0.00 of 0.31",
    "estimates": "can be wrong .* From 250 samples they err by 0.02 to 0.20 .* 0.00 to 0.01",
    "example": "not about synergy. Its synergy falls from 0.48 .* a network reaches 0.92 ± 0.04",
    "scene": r"63 to 65 labels. .* gain from 2 of the 3 modalities .* over 10 seeds\). "
    "Not shown .* MOSI audio mean absolute error 1.500 ± 0.100 against 1.400.",
    "step_by_step": "beats encoders of the same kind trained on the labels alone on 1 of 2 sets, "
    "and loses on 0. .* in 1 of 2 rows and clearly worse in 0; .* from -0.023 ± 0.030 "
    r"\(MOSI audio mean absolute error\) to \+0.140 ± 0.010 \(digits left accuracy\)"
    r".* in 1 rows .* in 1\.",
    "ranks": "Robult ranks first over all, GMC with one modality, Robult with every modality. Mean "
    "ranks within a seed over 22 blocks .*: Robult 1.50 ± 0.12, GMC 2.00 ± 0.34; "
    ".* GMC 1.60, Robult 1.70; .* Robult 1.40, "
    "Unimodal 2.80; .* each of 5 sets Robult 1.20, GMC 2.00. .* ranked too: "
    "linear distillation 1.80, Robult 1.90, GMC 2.60",
    "control": r"on 1 of 3 sets, and loses on 1. .* in 3 of 5 rows and clearly worse in 2 "
    r"\(after Holm's correction 1 and 0, and 1 and 0 of the sets\). "
    ".* than Robult on 1 of 2 sets, than Distilled Robult on 1",
    "variant": r"on 1 of 3 sets, and loses on 1. .* 1 of 3 rows and clearly worse in 1 "
    r"\(after Holm's correction 1 and 0, and 1 and 0 of the sets\); "
    r".* accuracy go from -0.010 \(c all\) to \+0.050. "
    "Distilled Unimodal, .* than Distilled Robult in 1 of the 3 rows",
    "default_gain": "train, Distilled Robult, beats a linear model on 1 of 3 sets, and loses on 0. "
    r".* from all: a \+0.17\* and \+0.07\*; b \(minus mean absolute error\) -0.01 and \+0.02; "
    r"c \+0.01\* and -0.07\* \(\* the 95 % interval leaves out 0\)\.",
    "separated": "apart from 1 of 2 others by Nemenyi's procedure, from 2 .* from 0 and 1 of 2.*"
    "Distilled Robult, with mean rank 1.20 ± 0.30.* separate it from 1 and 0, and its mean rank by "
    "macro F1 within a seed is 1.60 ± 0.10, beside 1.80 ± 0.12 of GMC",
    "claims": r"Of the paper's 7 statements 2 are reproduced .* \(superior, linear\), 0 in part "
    "and 4 not; 1 cannot",
    "needed": r"contrast of unlabelled samples \(L_ulb\). .* Of 2 sets this is so for "
    "L_sup on 1, L_rec on 0, L_ulb on 2; the reverse is so for L_rec on 1. "
    r".* by -0.253 ± 0.040 as printed, and by \+0.009 ± 0.019 where only",
    "reconstruction": "next to no effect. .* by more than 0.004; "
    ".* L_sup moves one by 0.20, L_ulb by 0.10[.]",
    "robust": r"ahead of 1 of 2 others. .* of 38 places .* GMC 7 and 3 \(2 and 1\), linear 2 and 4",
    "least_lost": "on 1 of 2 sets. .* gap is largest: b 0.3 ± 0.03 against 0.2 ± 0.02 of GMC",
    "incomplete_training": r"\*mean\* beats masking at more points than it loses.* "
    r"\*dropped\* 0 and 1 of 1, \*mean\* 1 and 0",
    "unique_part": "not shown to keep more .* z holds 0.94 ± 0.02, u 0.84 ± 0.03, and .* 0.96 ±",
    "separable": r"On 1 of 2 sets .*: a 0.930 ± 0.010 \(0.25 by guessing\), b 0.510 ± 0.020 \(0.50",
    "objective": r"does not visibly .* by -0.001 \(-0.040 to \+0.038\).*: no difference seen in 1,"
    ".* "
    r"u holds \+0.355 \(\+0.167 to \+0.542\) bits more of the shared bit, and -0.002 "
    r"\(.* its own",
    "detector": "than no weights do, and worse than .* confidence on 1 of 1 sets once "
    "training has started. "
    ".* more precise on 1 of 1 sets before training, 1 of 1 sets after the start. "
    ".* after the start: a 0.607 ± 0.013. .* confidence's it is before training clearly above on 1 "
    "and below on 0 of 1 sets, after the start clearly above on 0 and below on 1 of 1 sets; .* "
    "cosine after the start clearly above on 0 and below on 1 of 1",
    "weighted_training": r"gains from them on 1 of 2 sets and clearly loses on 0\. .* by a \+0.010",
    "own_data": "made for each subset of the sensors in 1 of 3. .* Distilled Robult .* with 1 of 2 "
    "sensors 0.60 ± 0.02 against 0.55 ± 0.03, with 2 of 2 sensors 0.8 against 0.9",
    "calibrated": "nearer to .* all sensors 0.090 ± 0.010 becomes 0.030 ± 0.004, from left "
    "0.05 becomes 0.04",
}
OTHERWISE = [  # query, table, what is replaced by what, the words that follow
    ("alignment", "01_aligned_exact", "0.8,1.0000001", "0.8,0.9", "does not keep just"),
    ("estimates", "01_estimate_errors", "0.20", "0.10", "right to a tenth"),
    ("example", "01_verdicts", "holds", "undecided with these seeds", "shows neither synergy"),
    ("step_by_step", "paired_differences", "+0.140", "-0.140", "on 0 of 2 sets, .* on 1"),
    ("step_by_step", "paired_differences", "0.010 *,+", "0.010,+", "on 0 of 2 sets, .* on 0"),
    ("ranks", "04_mean_ranks", "1.6,1.70", "1.6,1.50", "first with one modality, with every"),
    (
        "ranks",
        "04_mean_ranks",
        "1.50 ± 0.12",
        "2.50",
        "second of 3, with one value for each .* first",
    ),
    ("variant", "04_differences", "worse,worse", "worse,undecided", "0 and 0 of the sets"),
    ("scene", "yardstick", "1.5,0.1", "1.2,0.1", "gain from 3 of the 3 .* seeds.[.]$"),
    ("needed", "06_answers", ",better without", ",mixed", "the reverse is so for none"),
    ("control", "04_differences", "a,accuracy,better", "a,accuracy,worse", "on 0 of 3 .* on 2"),
    ("control", "04_headline", "0.85 ± 0.1", "0.75 ± 0.1", "than Robult on 0 of 2 sets"),
    ("variant", "04_differences", "a,accuracy,worse", "a,accuracy,better", "on 0 of 3 .* on 2"),
    ("variant", "04_headline", "0.9,0.8,0.8", "0.9,0.95,0.8", "in 0 of the 3 rows"),
    ("separated", "05_per_set", "1.80", "1.50", "beside 1.50 ± 0.12 of GMC"),
    ("needed", "06_labeled_alone", "+0.009", "+0.100", "by .0.100 ± 0.019 where only"),
    ("needed", "06_answers", "ulb,needed", "ulb,mixed", "loss of the labels"),
    ("needed", "06_answers", ",needed", ",mixed", "No single loss is shown to be needed"),
    ("reconstruction", "06_answers", "-0.004", "-0.0041", "by more than 0.005"),
    ("reconstruction", "06_answers", "0.001,0.002", "0.001,0.010", "changes some accuracies"),
    ("robust", "07_verdict", "7,28,3", "7,24,7", "ahead of 0 of 2"),
    ("robust", "07_verdict", "3,2,1", "3,1,1", "ahead of 0 of 2"),
    ("incomplete_training", "07_missing_training", "+0.1", "-0.1", "no remedy beats"),
    ("unique_part", "08_own_bit", "0.94", "0.83", "The unique part u keeps more"),
    ("separable", "08_modality_probe", "0.510 ± 0.020", "0.530 ± 0.020", "On 2 of 2 sets"),
    ("objective", "objective_22", "no difference seen", "more with L_rec", "L_rec does what"),
    ("objective", "objective_22", "no difference seen", "less with L_rec", "does the contrary"),
    ("detector", "09_verdict", "training,RBF better", "training,RBF worse", "not find false pairs"),
    ("detector", "09_verdict", "start,RBF worse", "start,RBF better", "than no weights do. They"),
    (
        "weighted_training",
        "09_accuracy",
        "+0.010",
        "-0.010",
        "on 0 of 2 sets and clearly loses on 1",
    ),
    ("weighted_training", "09_accuracy", " *", "", "on 0 of 2 sets and clearly loses on 0"),
    ("calibrated", "10_calibration", "left,0.05,0.04", "left,0.05,0.05", "does not always"),
    ("calibrated", "10_calibration", "0.0", "-0.0", "did not bring"),
    ("needed", "06_labeled_alone", "-0.253 ± 0.040 *", "-0.253", "by -0.253 as printed"),
]


@pytest.fixture
def tables(tmp_path):
    for name, content in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(content)
    return tmp_path


def said(query: str, folder) -> str:
    return " ".join(getattr(queries, query)(folder))


@pytest.mark.parametrize("query", SAID)
def test_a_query_says_what_its_tables_say(query, tables):
    assert re.search(SAID[query], said(query, tables))


@pytest.mark.parametrize(("query", "name", "old", "new", "words"), OTHERWISE)
def test_a_query_says_otherwise_where_its_tables_do(query, name, old, new, words, tables):
    content = TABLES[name].replace(old, new)
    assert not re.search(words, said(query, tables))
    (tables / f"{name}.csv").write_text(content)
    assert re.search(words, said(query, tables))


def test_the_variant_is_named_apart_from_the_rivals(tables):
    table = pd.read_csv(tables / "04_mean_ranks.csv")
    within = [1.2, "1.20", 1.3, "1.30", 1.3, "1.30", 1.1, "1.10"]
    table.loc[len(table)] = ["Distilled Robult", *within, 1.5]
    table.to_csv(tables / "04_mean_ranks.csv", index=False)
    words = said("ranks", tables)
    assert words.startswith("Distilled Robult ranks first with one modality, with every modality")
    assert ". Robult is second of 4. Mean ranks within a seed" in words
    assert "real data: Distilled Robult 1.20, Robult 1.50 ± 0.12, GMC 2.00 ± 0.34;" in words


BARE = ["least_lost", "incomplete_training", "separable", "weighted_training", "own_data"]


@pytest.mark.parametrize("query", BARE)
def test_a_query_reads_bare_numbers_of_a_run_of_few_seeds(query, tables):
    for path in tables.glob("*.csv"):
        path.write_text(re.sub(r" ± [\d.]+( \*)?", "", path.read_text()))
    assert said(query, tables)


def test_differences_of_two_seeds_have_no_interval_and_no_verdict(tables):
    path = tables / "paired_differences.csv"
    path.write_text(re.sub(r" ± [\d.]+( \*)?", "", path.read_text()))
    words = said("step_by_step", tables)
    assert "on 0 of 2 sets, and loses on 0" in words
    assert "from -0.023 (MOSI audio mean absolute error) to +0.140 (digits left" in words


def test_the_reach_of_intervals_stands_beside_the_mean_change_of_a_loss(tables):
    table = pd.read_csv(tables / "06_answers.csv")
    table = table.assign(**{"± one modality": 0.002, "± full": 0.003})
    table.to_csv(tables / "06_answers.csv", index=False)
    words = "0.004 (their 95 % intervals reach to 0.007); leaving out"
    assert words in said("reconstruction", tables)


def test_every_query_is_tried():
    assert set(SAID) == set(sum(ANSWERS.values(), ()))
