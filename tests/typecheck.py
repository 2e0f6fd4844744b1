"""The checker of annotations under pytest: beartype, with an int allowed where a float is asked for
(PEP 484)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
