"""Start of a training: its folder, devices and processes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision

from ..text import Say
from .recipes import Optim


@dataclass(frozen=True)
class Run:
    """The folders, devices and messages of a training: nothing that changes what is learned.

    ``out`` gets the checkpoint, the TensorBoard log and the weights. A run that is found there
    goes on. Runs that share ``cache`` decode the clips once.
    """

    out: Path
    device: str = "auto"
    processes: int = 1
    cache: Path | None = None  # folder of decoded clips; one inside ``out`` without
    name: str = ""  # of the recipe, for the weights' card
    say: Say = lambda line: None  # gets a line every now and then

    @property
    def clips(self) -> Path:
        """The folder that keeps the clips."""
        return self.cache or self.out / "clips"

    @property
    def weights(self) -> Path:
        """The file that the training ends with."""
        return self.out / "model.safetensors"


def devices_of(device: str, processes: int) -> int | list[int]:
    """The number of devices, or the one whose index is named. ValueError for one and processes."""
    index = device.partition(":")[2]
    if not index:
        return processes
    if processes > 1:
        raise ValueError(f"expected one process on {device}, or cuda for {processes} of them")
    return [int(index)]


class Mixed(MixedPrecision):
    """Operations in half precision, on clips, truth and flow as they are.

    By itself it would round those too: a colour by half a code, a flow of 20 pixels by up to 1/16.
    """

    def convert_input(self, data: Any) -> Any:
        return data


def number_format(name: Literal["32-true", "bf16-mixed", "16-mixed"], device: str) -> Precision:
    """The number format of that name, on a device as ``Run`` has it."""
    gpu = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    return Precision() if name == "32-true" else Mixed(name, "cuda" if gpu else "cpu")


def start_processes(optim: Optim, run: Run, *, unused: bool = False) -> Fabric:
    """Start the processes of a run and make its folder.

    ``unused``: not every step gives all weights gradients. Where torchrun has started the
    processes, they are as many as it says, on as many machines. ValueError for several of them with
    ``optim.fused``.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", 1))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", run.processes))
    if optim.fused and nodes * processes > 1:
        raise ValueError(
            f"expected optim.fused=false for {nodes * processes} processes, which share gradients "
            "while they are made: start one process, or set it to false"
        )
    # A flow network that starts to train later has no gradients before.
    unused = unused or optim.flow_from > 0
    ddp = "ddp_find_unused_parameters_true" if unused else "ddp"
    fabric = Fabric(
        accelerator="gpu" if run.device.startswith("cuda") else run.device,
        devices=devices_of(run.device, processes),
        num_nodes=nodes,
        strategy=ddp if nodes * processes > 1 else "auto",
        plugins=number_format(optim.precision, run.device),
    )
    fabric.launch()
    fabric.seed_everything(optim.seed, verbose=False)
    return fabric
