"""Data sets, each a `MultimodalData`: by name through `load`, or your own files through a path.

catalogue    the table of all sets; `load`, `available`, `entry`
data_set     one entry of the table: find, read, check and get its files
container    `MultimodalData`: named modalities, targets, split, task
own_files    archives and tables of your own
pid          the synthetic set whose information content is known
benchmarks, utd_mhad, mosi                   the real sets that anyone can get
affect, mm_imdb, food101, hateful_memes      the paper's own sets
records      what sets of raw images and texts share
features, vilt_inputs                        such a set as features, or as tokens and pixels
files, download, pickles                     reading safely, fetching in full
"""

from robult_core.datasets.catalogue import BUILTIN, CATALOGUE, available, entry, load
from robult_core.datasets.container import MultimodalData
from robult_core.datasets.data_set import DataSet, data_folder
from robult_core.datasets.files import DataError

__all__ = [
    "BUILTIN",
    "CATALOGUE",
    "DataError",
    "DataSet",
    "MultimodalData",
    "available",
    "data_folder",
    "entry",
    "load",
]
