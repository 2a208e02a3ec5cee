"""S2SVR, the sequence-to-sequence model of the paper (https://arxiv.org/abs/2205.10195).

Letters as in the paper: ``x`` low-quality frame, ``z`` latent vector of the encoder, ``s`` state of
the decoder, ``c`` context, ``y`` restored frame, ``o`` optical flow. Lists over time hold one
tensor a frame; states live on the grid of the features: the frame's own for super-resolution and
full-resolution presets, a ``down`` times smaller one where frames are pixel-unshuffled first.
"""

from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops import divided_up, pad_to_multiple, resize_bicubic
from .along import AlongMotion, along_channels, with_motion
from .attention import LocalAttention
from .config import S2SVRConfig
from .flows import Flows, align, chain_flows, cut_flows, flow_on_grid, neighbours
from .gru import ConvGRU, ResConvGRU, ResidualBlock
from .mixer import Mixer
from .output import STEP, FrameInput, Output, contrast, within_contrast
from .pwclite import SLOPE, Features, PWCLite, initialise, join_features, split_features

WHOLE = 16  # pixels to a cell of a map that has one value; ``tiles`` cuts none that is coarser


class State(NamedTuple):
    """Memory after a frame; all that the following frames need to know of the ones before."""

    x: list[Tensor]  # last max(r, 1, neighbours) input frames, (B, 3, H, W)
    z: list[Tensor]  # encoder: each layer's latent vectors of the last frame, (B, C, h, w)
    latents: list[Tensor]  # top layer's latent vectors of the last r frames
    s: list[Tensor]  # decoder: each layer's state
    y: Tensor | None  # last restored frame before clamping, (B, 3, sH, sW), if it is fed back

    @classmethod
    def of(cls, frames: list[Tensor]) -> "State":
        """No memory but of frames before the first: neighbours that a lone frame is mixed with."""
        return cls(frames, [], [], [], None)


class Encoder(nn.Module):
    """F_e of Eq. 1: features of each frame, then residual stacked ConvGRUs along time."""

    align = staticmethod(align)  # F_w; a training on a GPU puts a faster one in its place

    def __init__(self, config: S2SVRConfig) -> None:
        super().__init__()
        c = config.channels
        self.frame = FrameInput(config.down, config.detail)
        size = 3 if config.down == 1 else 1  # an unshuffled pixel already spans down x down
        inputs = self.frame.channels * (2 if config.neighbours else 1) + along_channels(config)
        self.first = nn.Conv2d(inputs, c, size, padding=size // 2)
        self.layers = nn.ModuleList(
            ResConvGRU(c, c, config.encoder_blocks, slim=config.slim, deep=config.deep)
            for _ in range(config.encoder_layers)
        )
        self.slim, self.bidirectional = config.slim, config.bidirectional
        if self.bidirectional:
            self.backward_layer = ResConvGRU(
                c, c, config.encoder_blocks, slim=config.slim, deep=config.deep
            )
            self.fuse = nn.Conv2d(2 * c, c, 3, padding=1)

    def step(self, z: list[Tensor], below: Tensor, first: int) -> tuple[list[Tensor], Tensor]:
        """Layers ``first``.. of one frame: their warped memory and input -> new memory, output."""
        new = []
        for layer, memory in zip(self.layers[first:], z, strict=True):
            memory, below = layer(memory, below)
            new.append(memory)
        return new, below

    def sweep_back(self, z1: list[Tensor], after: list[Tensor | None]) -> list[Tensor]:
        """The release's first layer: a pass backward in time, fused with the forward states."""
        out: list[Tensor] = []
        b = torch.zeros_like(z1[0])
        for z, o in zip(reversed(z1), reversed(after), strict=True):
            b, top = self.backward_layer(self.align(b, o), z)
            out.append(self.fuse(torch.cat((z, top), 1)))
        return out[::-1]

    def forward(
        self, x: list[Tensor], memory: list[Tensor] | None, flows: Flows, keep: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Frames of ``self.frame`` -> latent vectors of all, states after frame keep - 1."""
        features = [self.first(frame) for frame in x]
        if self.slim:
            features = [F.leaky_relu_(feature, SLOPE) for feature in features]
        zero = [torch.zeros_like(features[0])] * len(self.layers)
        z, at_keep = memory or zero, memory or zero
        below, split = features, 0
        if self.bidirectional:
            split, z1, kept = 1, [], [z[0]]
            for frame, o in zip(features, flows.before[0], strict=True):
                state, top = self.layers[0](self.align(kept[-1], o), frame)
                z1.append(top)
                kept.append(state)
            below = self.sweep_back(z1, flows.after[0])
        latents = []
        upper = z[split:]
        for t, (frame, o) in enumerate(zip(below, flows.before[0], strict=True)):
            upper, top = self.step([self.align(state, o) for state in upper], frame, split)
            latents.append(top)
            if t == keep - 1:
                at_keep = [*([kept[keep]] if split else []), *upper]
        return latents, at_keep


class Decoder(nn.Module):
    """Eq. 2-4: restores frame after frame from the context, its own state and its last output."""

    def __init__(self, config: S2SVRConfig) -> None:
        super().__init__()
        c, factor = config.channels, config.scale * config.down
        self.factor = factor
        self.attention = LocalAttention(c, config.attention) if config.attention else None
        fed = config.feedback
        self.feedback = nn.Conv2d(3 * factor**2, fed, 3, padding=1) if fed else None
        inputs = (c + config.feedback, *(c for _ in range(config.decoder_layers - 1)))
        self.layers = nn.ModuleList(
            ResConvGRU(i, c, config.decoder_blocks, slim=config.slim, deep=config.deep)
            for i in inputs
        )
        self.output = Output(c, config.tail, factor, STEP if config.detail else 1.0)
        self.along = AlongMotion(c, config.down) if config.along else None

    def step(
        self,
        s: list[Tensor],
        y: Tensor | None,
        latents: list[Tensor],
        apart: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """s_{i-1}, features of y_{i-1} and latent vectors, all warped -> s_i, y_i less its base."""
        c = latents[0] if self.attention is None else self.attention(s[-1], latents)[0]
        below = c if y is None else torch.cat((c, y), 1)
        new = []
        for layer, memory in zip(self.layers, s, strict=True):  # F_r
            memory, below = layer(memory, below)
            new.append(memory)
        change = self.output(below)  # F_f
        if self.along is not None and apart is not None:
            change = change + self.along(below, apart)
        return new, change


class S2SVR(nn.Module):
    """Restores a clip from its degraded frames; the memory between windows is a value."""

    memory_types = (State,)  # classes in that value, for who stores it
    align = staticmethod(align)  # as the encoder's

    def __init__(self, config: S2SVRConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or S2SVRConfig()
        self.scale = c.scale
        self.experts: dict[str, dict[str, Tensor]] = {}  # weights by the codings they learned from
        self.pairs = 1  # of frames whose flow is estimated at once; a GPU is faster with more
        self.few = False  # they are matched by few large operations, also for a GPU
        self.lookahead = max(c.radius, c.along) + (c.warm if c.bidirectional else 0) + c.neighbours
        self.encoder = Encoder(c)
        self.decoder = Decoder(c)
        self.mixer: Mixer | None = None
        if c.neighbours:
            self.mixer = Mixer(c.neighbours, c.mixing, c.exposure, c.quality, c.confidence)
        initialise(self)
        with torch.no_grad():  # residual stacks start near the identity, the output at its base
            for layer in self.modules():
                if isinstance(layer, ResidualBlock):
                    layer.second.weight.mul_(0.1)
                elif isinstance(layer, ConvGRU | Mixer | AlongMotion | Output):
                    layer.start()
            if self.decoder.feedback:
                self.decoder.feedback.weight.zero_()  # what is fed back says nothing yet
        self.flow = PWCLite(c.flow) if c.flow else None

    def body_parameters(self) -> list[nn.Parameter]:
        """All parameters but the flow network's."""
        parts = (self.encoder, self.decoder, self.mixer)
        return [parameter for part in parts if part for parameter in part.parameters()]

    def forward(
        self, x: Tensor, state: State | None = None, lookahead: int = 0
    ) -> tuple[Tensor, State]:
        """Restore a clip or one window of it.

        x (B, T + lookahead, 3, H, W) in [0, 1], any size; the last ``lookahead`` frames are seen
        but not restored. ``state`` is the memory after the previous window of the same shot.
        Returns y (B, T, 3, sH, sW), not clamped, and the memory after frame T - 1.
        """
        if not (isinstance(x, Tensor) and x.is_floating_point()):
            raise ValueError(
                f"expected clips as a tensor of floats in [0, 1], got {type(x).__name__} of "
                f"{getattr(x, 'dtype', 'no dtype')}; torch.as_tensor(x).float() / 255 makes one of "
                "8-bit codes"
            )
        if x.ndim != 5 or x.shape[2] != 3 or x.shape[1] <= lookahead:
            raise ValueError(
                f"expected clips (B, T + {lookahead}, 3, H, W) with T of at least 1, "
                f"got {tuple(x.shape)}"
            )
        frames = [*(state.x if state else []), *x.unbind(1)]
        return self.restore(x, self.flows(frames, x.shape[1], lookahead), state, lookahead)

    def encoded(self, count: int, lookahead: int) -> int:
        """How many frames of a window are encoded; the last are only mixed into others."""
        return min(count, count - lookahead + self.lookahead - self.config.neighbours)

    def flows(self, frames: list[Tensor], count: int, lookahead: int = 0) -> Flows:
        """What whole frames tell of a window: the last ``count`` of the frames (B, 3, H, W).

        Flow to the neighbours, pair by pair, and what the mixer is told, of those ``encoded``.
        """
        c, end = self.config, len(frames) - count + self.encoded(count, lookahead)
        first = len(frames) - count
        # A flow that is added up takes those of frames between, some of them outside the window.
        extra = c.reach - max(c.radius, 1)
        times = range(max(first - extra, 0), min(end + extra, len(frames)))
        flows = chain_flows(self.direct_flows(frames, times, range(first, end)), c.reach)
        flows = cut_flows(flows, first - times.start, end - times.start)
        return flows._replace(told=self.told(frames, range(first, end), flows))

    def direct_flows(self, frames: list[Tensor], times: range, window: range) -> Flows:
        """Flow of the frames ``times`` to those at most max(radius, 1) away, on the states' grid.

        Back to earlier frames from those before the window's end, on to later ones from those
        after its start. ``pairs`` of them are estimated at once, from features that are made once
        a frame.
        """
        c, reach = self.config, max(self.config.radius, 1)
        before, after = ([[None] * len(times) for _ in range(reach)] for _ in range(2))
        flows = Flows(before, after)  # type: ignore[arg-type]
        if self.flow is None:
            return flows
        wanted: list[tuple[list[Tensor | None], int, int]] = []  # where to, a frame, another one
        for later in range(times.start, min(times.stop + reach, len(frames))):
            for d in range(1, min(reach, later) + 1):
                if later in times and later < window.stop:
                    wanted.append((flows.before[d - 1], later, later - d))
                if later - d in times and later - d >= window.start:
                    wanted.append((flows.after[d - 1], later - d, later))
        size = [divided_up(side, c.flow_down) for side in frames[0].shape[-2:]]
        known: dict[int, Features] = {}
        for start in range(0, len(wanted), self.pairs):
            some = wanted[start : start + self.pairs]
            fresh = sorted({t for _, a, b in some for t in (a, b)} - known.keys())
            for begin in range(0, len(fresh), self.pairs):
                new = fresh[begin : begin + self.pairs]
                made = self.flow.features(self.reduce(torch.cat([frames[t] for t in new])))
                known |= zip(new, split_features(made, len(new)), strict=True)
            one = join_features([known[t] for _, t, _ in some])
            other = join_features([known[t] for _, _, t in some])
            found = self.flow.between(one, other, (size[0], size[1]), few=self.few)
            for (line, t, _), flow in zip(some, found.split(len(frames[0])), strict=True):
                line[t - times.start] = flow_on_grid(flow, frames[t], c)
            known = {t: kept for t, kept in known.items() if t >= max(some[-1][1:]) - reach}
        return flows

    def told(self, frames: list[Tensor], times: range, flows: Flows) -> list[Tensor] | None:
        """What some of the whole frames (B, 3, H, W) tell of the mixer's shares, as maps."""
        down = self.config.down
        told = self.mixer.told(frames, times, flows, down) if self.mixer else None
        size = [divided_up(side, WHOLE) for side in frames[0].shape[-2:]]
        return told and [shares.expand(-1, -1, *size) for shares in told]

    def reduce(self, frame: Tensor) -> Tensor:
        """The frame as the flow network sees it."""
        down = self.config.flow_down
        return resize_bicubic(pad_to_multiple(frame, down), 1 / down) if down > 1 else frame

    def restore(
        self, x: Tensor, flows: Flows, state: State | None, lookahead: int
    ) -> tuple[Tensor, State]:
        """Eq. 1-9 with known flow; arguments and result as in ``forward``."""
        c = self.config
        frames = list(x.unbind(1))
        count, (height, width) = len(frames) - lookahead, x.shape[-2:]
        before = state.x if state else []
        seen = self.encoded(len(frames), lookahead)
        flows = cut_flows(flows, 0, seen)
        mixed, cells, whole = self.mixed(frames, before, flows, seen)
        cells, apart = with_motion(cells, frames[:seen], flows, c, whole)
        latents, z = self.encoder(cells, state.z if state else None, flows, count)
        latents = [*(state.latents if state else []), *latents]
        first = len(state.latents) if state else 0  # of the window inside ``latents``
        zero = [torch.zeros_like(latents[0])] * len(self.decoder.layers)
        s = (state.s if state else []) or zero
        y = state.y if state else None
        out = []
        for t in range(count):
            o = flows.before[0][t]
            around = [latents[first + t]]
            for d in range(1, c.radius + 1):
                for j, flow in ((-d, flows.before[d - 1][t]), (d, flows.after[d - 1][t])):
                    if 0 <= first + t + j < len(latents):
                        around.append(self.align(latents[first + t + j], flow))
            s = [self.align(memory, o) for memory in s]
            s, change = self.decoder.step(s, self.seen(y, latents[0], o), around, apart[t])
            change = change[..., : height * c.scale, : width * c.scale]
            y = within_contrast(change, mixed[t], c.scale).add_(self.base(mixed[t]))
            if self.mixer and (share := self.mixer.made(whole[t])) is not None:
                y = torch.lerp(frames[t], y, share.type_as(y))
            out.append(y)
        past = [*before, *frames[:count]][-max(c.radius, 1, c.neighbours) :]
        kept = latents[: first + count][-c.radius :] if c.radius else []
        return torch.stack(out, 1), State(past, z, kept, s, out[-1] if c.feedback else None)

    def mixed(
        self, frames: list[Tensor], past: list[Tensor], flows: Flows, count: int
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
        """The first ``count`` frames with their neighbours' shares, and what the encoder sees.

        And what each whole frame tells of its shares, (B, ., 1, 1); None: nothing.
        """
        see, c = self.encoder.frame, self.config
        if self.mixer is None:
            return frames, [see(frame) for frame in frames[:count]], [None] * count
        everything = [*past, *frames]
        told = flows.told or self.told(everything, range(len(past), len(past) + count), flows)
        whole: list[Tensor | None] = [m[..., :1, :1] for m in told or ()] or [None] * count
        # As they lie, a frame is the neighbour of many others; its contrast is found once.
        alone = [] if c.aligned else [contrast(frame) for frame in everything]
        mixed = []
        for t, place in enumerate(range(len(past), len(past) + count)):
            others = neighbours(t, frames, past, flows, c)
            near = alone[max(place - c.neighbours, 0) : place + c.neighbours + 1]
            seen = near or [contrast(frame) for frame in (frames[t], *others)]
            mixed.append(self.mixer(frames[t], others, reduce(torch.maximum, seen), whole[t]))
        pairs = zip(mixed, frames, strict=False)
        cells = [torch.cat((see(x), see(frame)), 1) for x, frame in pairs]
        return mixed, cells, whole

    def seen(self, y: Tensor | None, like: Tensor, o: Tensor | None) -> Tensor | None:
        """Features of y_{i-1}, warped to frame i; zero where there is none.

        They carry no gradient back through time, which made trainings stumble. None without them.
        """
        if self.decoder.feedback is None:
            return None
        if y is None:
            return like.new_zeros(like.shape[0], self.config.feedback, *like.shape[-2:])
        factor = self.decoder.factor
        small = F.pixel_unshuffle(pad_to_multiple(y.detach(), factor), factor)
        return self.align(self.decoder.feedback(small), o)

    def base(self, x: Tensor) -> Tensor:
        """What F_f's output is added to: the frame, bicubically enlarged."""
        return resize_bicubic(x, self.scale) if self.scale > 1 else x
