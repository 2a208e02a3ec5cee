"""A GPU that does not wait: calls replayed as CUDA graphs, and copies beside its work."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .maps import each, leaves
from .text import Say

FORMS = 4  # calls of a shape of their own that are captured, at most: each keeps its results


class Replay(NamedTuple):
    """A captured call, with the trees of tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    given: Any
    made: Any


class Graphs:
    """A function of trees of tensors on a GPU, replayed as one CUDA graph for each of a few forms.

    Small networks wait for the launches of their kernels most of the time; a graph launches all at
    once. A form is what a call looks like: its trees, shapes, memory orders and settings. The first
    call of a form runs as it is, which loads what kernels need; the second is captured, and it and
    all others are replayed. What is given is copied into the graph's own tensors, and results are
    copies: calls leave nothing behind that a later one changes.

    Where capturing fails or memory runs out, all graphs are freed, and no call is captured from
    then on; ``say`` is told, and the call is made once more without them.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device, say: Say) -> None:
        self.function, self.device, self.say = function, device, say
        self.met: set[Hashable] = set()
        self.replays: dict[Hashable, Replay] = {}
        self.works = True
        self.stream: torch.cuda.Stream | None = None
        self.pool: Any = None

    def __call__(self, given: Any, *settings: Hashable) -> Any:
        """The function of a tree of tensors and of settings, which are part of the form."""
        form = (settings, form_of(given))
        again = form in self.met
        self.met.add(form)
        held = form in self.replays or (again and self.works and len(self.replays) < FORMS)
        try:
            if held:
                return self.replayed(form, given, *settings)
            return self.function(given, *settings)
        except RuntimeError as error:
            why = str(error).partition("\n")[0]
            if not (held or self.replays):
                self.stop()
                raise
        # Only now: until the error is gone, its traceback keeps the tensors of the failed call.
        self.stop()
        self.say(f"going on without CUDA graphs, more slowly: {why}")
        return self.function(given, *settings)

    def replayed(self, form: Hashable, given: Any, *settings: Hashable) -> Any:
        """Replay a call of this form, which is captured where it is not yet."""
        if form not in self.replays:
            self.replays[form] = self.captured(given, *settings)
        replay = self.replays[form]
        for ours, theirs in zip(leaves(replay.given), leaves(given), strict=True):
            ours.copy_(theirs)
        replay.graph.replay()
        return each(replay.made, Tensor.clone)

    def captured(self, given: Any, *settings: Hashable) -> Replay:
        """Capture a call of this form; it is not made yet. Raises RuntimeError."""
        with torch.cuda.device(self.device):
            if self.stream is None:
                self.stream = torch.cuda.Stream(self.device)
                self.pool = torch.cuda.graph_pool_handle()
            graph, own = torch.cuda.CUDAGraph(), each(given, Tensor.clone)
            # Other threads copy frames meanwhile. The outer block leaves the capture's stream
            # where ending the capture fails, which torch's own block does not.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self.device)),
                torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"),
            ):
                made = self.function(own, *settings)
        return Replay(graph, own, made)

    def stop(self) -> None:
        """Capture nothing more, and free what graphs hold."""
        self.works = False
        self.replays.clear()


def form_of(tree: Any) -> Hashable:
    """What a tree of tensors looks like; equal ones can be copied into each other."""
    if tree is None:
        return None
    if isinstance(tree, Tensor):
        return tree.shape, tree.stride(), tree.dtype
    return type(tree), tuple(map(form_of, tree))


class Landing(NamedTuple):
    """Copies that may still be on their way, and what tells that they are there."""

    tensors: tuple[Tensor, ...] = ()
    event: torch.cuda.Event | None = None

    def wait(self) -> None:
        """Return when they are there, and all that were sent the same way before."""
        if self.event is not None:
            self.event.synchronize()


class Copies:
    """Copies between the CPU and a device, which on a GPU go on beside its work.

    Each way has a stream of its own, and the CPU's side lies in pinned memory. On other devices
    they are plain copies, or none.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.ways: tuple[torch.cuda.Stream, ...] = ()
        if device.type == "cuda":
            self.ways = torch.cuda.Stream(device), torch.cuda.Stream(device)

    def up(self, tensors: Sequence[Tensor]) -> Landing:
        """Send tensors of the CPU to the device; from any thread, as ``taken`` receives them."""
        if not self.ways:
            return Landing(tuple(tensor.to(self.device) for tensor in tensors))
        with torch.cuda.stream(self.ways[0]):
            there = tuple(x.pin_memory().to(self.device, non_blocking=True) for x in tensors)
            return Landing(there, self.ways[0].record_event())

    def taken(self, landing: Landing) -> tuple[Tensor, ...]:
        """The tensors of ``up``, for work that is given to the device from now on."""
        if landing.event is not None:
            here = torch.cuda.current_stream(self.device)
            here.wait_event(landing.event)
            for tensor in landing.tensors:
                tensor.record_stream(here)  # their memory is not used again before that work
        return landing.tensors

    def down(self, tensors: Sequence[Tensor]) -> Landing:
        """Send what the device makes to the CPU, where it may be read after ``wait``."""
        if not self.ways:
            return Landing(tuple(tensor.to("cpu") for tensor in tensors))
        way = self.ways[1]
        way.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(way):
            here = tuple(pinned_like(tensor) for tensor in tensors)
            for ours, theirs in zip(here, tensors, strict=True):
                ours.copy_(theirs, non_blocking=True)
                theirs.record_stream(way)
            return Landing(here, way.record_event())


def pinned_like(tensor: Tensor) -> Tensor:
    """An empty tensor of the CPU in memory that a GPU can reach by itself."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
