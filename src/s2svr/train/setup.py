"""What every training starts with: processes, devices, clips."""

from pathlib import Path

from lightning.fabric import Fabric

from ..data import DATASETS
from ..data.clips import Data, Sequence
from ..recipes import Optim


def launch(optim: Optim, out: Path, device: str, processes: int) -> Fabric:
    """Start the processes of a run (torchrun's, where it has started them) and make its folder."""
    out.mkdir(parents=True, exist_ok=True)
    # A flow network that starts to train later has no gradients before.
    ddp = "ddp_find_unused_parameters_true" if optim.flow_from else "ddp"
    fabric = Fabric(
        accelerator="gpu" if device.startswith("cuda") else device,
        devices=processes,
        strategy=ddp if processes > 1 else "auto",
        precision=optim.precision,
    )
    fabric.launch()
    fabric.seed_everything(optim.seed, verbose=False)
    return fabric


def sequences_of(data: Data, root: Path) -> list[Sequence]:
    """The recipe's data set below ``root``."""
    if data.dataset not in DATASETS:
        raise ValueError(f"expected data.dataset in {sorted(DATASETS)}, got {data.dataset!r}")
    return DATASETS[data.dataset](root, data.split)
