"""Where a run trains: in this process, or on several processes of this machine.

The processes are lightning-fabric's, on top of torch's DDP. Each takes its share of every batch
(`robult_core.distributed`); rank 0 then evaluates and brings the record back.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from robult_core.checks import checked_device
from robult_study.runs.configuration import RunConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}  # as lightning-fabric names them


def fabric_of(config: RunConfig) -> Fabric | None:
    """The fabric that a run needs; None where it is one process in float32.

    Raises ValueError for a device that this machine lacks.
    """
    device = checked_device(config.device)
    if config.ranks == 1 and config.precision == "float32":
        return None
    from lightning_fabric import Fabric

    return Fabric(
        accelerator=device,
        devices=config.ranks,
        strategy="ddp_spawn" if config.ranks > 1 else "auto",
        precision=PRECISIONS[config.precision],
    )


def on_all_ranks(function: Callable[..., Any], fabric: Fabric | None, *values: Any) -> Any:
    """The answer of rank 0 to `function(fabric, *values)`, which every rank calls.

    Raises RuntimeError with the last line of what a rank said when it failed or died.
    """
    if fabric is None or fabric.world_size == 1:
        return function(fabric, *values)
    from torch.multiprocessing.spawn import ProcessException

    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        try:
            fabric.launch(partial(_answer, function, values, answer))
        except ProcessException as error:
            reason = str(error).strip().splitlines()[-1]
            raise RuntimeError(f"rank {error.error_index} failed: {reason}") from error
        return pickle.loads(answer.read_bytes())


def _answer(function: Callable[..., Any], values: tuple[Any, ...], path: Path, fabric: Any) -> None:
    """The call on one rank; rank 0 writes its answer to a file.

    What fabric itself brings back has to fit into a pipe, and a frozen dataclass may only travel
    inside of a function.
    """
    answer = function(fabric, *values)
    if fabric.global_rank == 0:
        path.write_bytes(pickle.dumps(answer))
