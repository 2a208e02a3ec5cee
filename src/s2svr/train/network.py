"""A recipe's network, and the weights that it starts from."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..checkpoint import load
from ..models import PRESETS, S2SVR, Mixer, PWCLite, PWCLiteConfig, S2SVRConfig, along_channels
from .recipes import ExposureRecipe, QualityRecipe, RestorationRecipe

Config = TypeVar("Config", S2SVRConfig, PWCLiteConfig)


def build(
    recipe: RestorationRecipe | ExposureRecipe | QualityRecipe,
    flow: Path | str | None,
    init: Path | str | None,
    mixer: Path | str | None = None,
) -> S2SVR:
    """The recipe's network, started from the weights given: ``init``'s, but flow's and mixer's.

    It has no flow network where ``flow`` is a folder of files. It makes all of its changes: what
    share of them is made is learned last, of the finished network.
    """
    config = preset_named(recipe.model.preset, S2SVRConfig)
    if recipe.model.channels:
        config = replace(config, channels=recipe.model.channels)
    files = is_flow_folder(flow)
    if files or not recipe.model.motion:
        config = replace(config, flow=None)
    torch.manual_seed(recipe.optim.seed)
    model = S2SVR(config)
    if init is not None:
        start_from(model, load(init))
    if mixer is not None:
        take_mixer(model, load(mixer), recipe.model.preset)
    if flow is not None and not files and model.flow is not None:
        student = load(flow)
        if not isinstance(student, PWCLite) or student.config != config.flow:
            raise ValueError(f"expected a flow network as {config.flow}, {flow} holds another")
        model.flow.load_state_dict(student.state_dict())
    if model.mixer is not None:
        model.mixer.start_share()
    return model


def without_fresh_flow(model: S2SVR, flow: Path | str | None, init: Path | str | None) -> None:
    """Take away a flow network that ``flow`` and ``init``, as ``build`` got them, did not bring.

    It would stay as it was drawn at random where nothing trains it.
    """
    other = load(init) if flow is None and init is not None else None
    brought = flow is not None or (isinstance(other, S2SVR) and other.flow is not None)
    if not brought:
        model.flow, model.config = None, replace(model.config, flow=None)


def preset_named(name: str, kind: type[Config]) -> Config:
    """The preset of this name and kind. Raises ValueError, which lists those of the kind."""
    config = PRESETS.get(name)
    if not isinstance(config, kind):
        fitting = ", ".join(key for key, value in PRESETS.items() if isinstance(value, kind))
        raise ValueError(f"expected model.preset to be {fitting}, got {name!r}")
    return config


def is_flow_folder(flow: Path | str | None) -> bool:
    """True for a folder of .flo files in the place of a flow network's weights."""
    return flow is not None and Path(flow).is_dir()


def freeze_mixer(model: S2SVR, whole: bool) -> None:
    """Freeze the mixer: all of it, or the parts that have trainings of their own."""
    if model.mixer is not None:
        model.mixer.requires_grad_(not whole)
        for part in (model.mixer.exposure, model.mixer.quality, model.mixer.blurred):
            if part is not None:
                part.requires_grad_(False)


def start_from(model: S2SVR, other: nn.Module) -> None:
    """Take over the weights of another task's network; ``other`` is changed.

    What sees and makes pictures (the input layer, the features of the last output, and F_f) stays
    as it is where the other's has another size, as in a task of another scale; so do a flow network
    and a mixer, or parts of a mixer, that the other has not; a network without motion leaves the
    other's flow behind. One that reads both ways begins with what the other, which reads one way,
    computes; so do one that looks along motion, and a deep one of twice the channels of a light
    one. Raises ValueError for weights of another size.
    """
    if not isinstance(other, S2SVR):
        raise ValueError(
            f"expected a restoration network to start from, got a {type(other).__name__}"
        )
    if model.flow is None or other.flow is None:
        other.flow = model.flow
    if other.mixer is None:
        other.mixer = model.mixer
    elif model.mixer is not None:
        take_missing(other.mixer, model.mixer)
    if model.config.along and not other.config.along:
        see_along_motion(other, model)
    if is_half_as_wide(other.config, model.config):
        model.load_state_dict(widened(other.state_dict(), model.state_dict()))
        return
    if other.encoder.first.weight.shape != model.encoder.first.weight.shape:
        other.encoder.first.weight = model.encoder.first.weight
    if shapes(other.decoder.feedback) != shapes(model.decoder.feedback):
        other.decoder.feedback = model.decoder.feedback
    if shapes(other.decoder.output) != shapes(model.decoder.output):
        other.decoder.output = model.decoder.output
    given, own = other.state_dict(), model.state_dict()
    if model.encoder.bidirectional and not other.encoder.bidirectional:
        given |= backward_layer(given)
    for name in own | given:
        a, b = (list(part[name].shape) if name in part else None for part in (own, given))
        if a != b:
            raise ValueError(
                f"expected to start from {name} of {a}, got {b}: weights of another size"
            )
    model.load_state_dict(given)


@torch.no_grad()
def see_along_motion(other: S2SVR, model: S2SVR) -> None:
    """Let a network see along motion as ``model`` does, and make nothing of it yet."""
    first = other.encoder.first
    none = first.weight.new_zeros(
        len(first.weight), along_channels(model.config), *first.kernel_size
    )
    first.weight = nn.Parameter(torch.cat((first.weight, none), 1))
    other.decoder.along = model.decoder.along


def shapes(part: nn.Module | None) -> dict[str, list[int]]:
    """The sizes of a part's weights by their names; none where there is no part."""
    return {name: list(value.shape) for name, value in part.state_dict().items()} if part else {}


def take_mixer(model: S2SVR, other: nn.Module, preset: str) -> None:
    """Take over the mixer of another network. Raises ValueError if it has none of the same kind."""

    def kind(net: S2SVR) -> tuple[int, ...]:
        c = net.config
        return c.neighbours, c.aligned, c.mixing, c.exposure, c.quality

    if model.mixer is None:
        raise ValueError(f"expected no --mixer for {preset}, which mixes no neighbours")
    if not isinstance(other, S2SVR) or other.mixer is None or kind(other) != kind(model):
        raise ValueError(
            f"expected --mixer of a network that mixes neighbours as {preset} does, the weights "
            "given are of another; leave it out, or give the light network of the same task"
        )
    take_missing(other.mixer, model.mixer)
    model.mixer.load_state_dict(other.mixer.state_dict())


def take_missing(mixer: Mixer, fresh: Mixer) -> None:
    """Give a mixer the parts that it has not: those of a fresh one, which change nothing."""
    mixer.exposure = mixer.exposure or fresh.exposure
    mixer.quality = mixer.quality or fresh.quality
    mixer.blurred = mixer.blurred or fresh.blurred
    if mixer.quality is not None and fresh.quality is not None:
        mixer.quality.trust = mixer.quality.trust or fresh.quality.trust


def backward_layer(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A backward layer that is a copy of the first one, and a fusion that takes nothing of it."""
    first = "encoder.layers.0."
    found = {
        name.replace(first, "encoder.backward_layer."): value
        for name, value in weights.items()
        if name.startswith(first)
    }
    channels = len(weights["encoder.first.bias"])
    weight = nn.init.dirac_(torch.empty(channels, 2 * channels, 3, 3))
    return found | {"encoder.fuse.weight": weight, "encoder.fuse.bias": torch.zeros(channels)}


def is_half_as_wide(light: S2SVRConfig, wide: S2SVRConfig) -> bool:
    """True where ``widened`` makes weights of one configuration from those of the other."""
    alike = "scale", "down", "detail", "neighbours", "along", "encoder_layers", "decoder_layers"
    at_least = "encoder_blocks", "decoder_blocks", "attention", "feedback"
    return (
        (light.slim, light.deep, light.bidirectional) == (True, False, False)
        and (wide.deep, 2 * light.channels) == (True, wide.channels)
        and light.tail == wide.tail == 0
        and all(getattr(light, name) == getattr(wide, name) for name in alike)
        and all(getattr(light, name) <= getattr(wide, name) for name in at_least)
    )


def widened(light: dict[str, Tensor], fresh: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a deep network of twice the channels, which computes what a light one does.

    The light network's layers remember what their unit makes, the deep one's what its blocks make
    of that. So a unit writes to the second half of the channels, which the blocks leave as it is,
    the blocks write to the first half, and the sum of both halves is what the light one has. What
    the deep one has beyond that is as in its ``fresh`` weights, and nothing reads it yet.
    """
    wide = {name: value.clone() for name, value in fresh.items()}
    for name, value in light.items():
        if name.startswith(("flow.", "mixer.")) or value.shape == wide[name].shape:
            wide[name] = value
        elif name.startswith(("encoder.first.", "decoder.feedback.")):
            wide[name] = padded(value, wide[name])
        elif name in ("decoder.output.0.weight", "decoder.along.shares.weight"):
            wide[name] = reads_sum(value)
    for name in [name.removesuffix(".keep") for name in light if name.endswith(".gru.keep")]:
        widen_unit(wide, light, name)
    for name in [name for name in wide if ".blocks." in name]:
        if ".second." in name:
            wide[name] = padded(light.get(name, wide[name][:0]), wide[name])
        elif name in light:
            part = light[name] if wide[name].ndim == 1 else reads_sum(light[name])
            wide[name][: len(part)] = part
    if "decoder.attention.own" in light:
        widen_attention(wide, light)
    if "encoder.fuse.weight" in wide:
        wide |= backward_layer(wide)
    return wide


def padded(part: Tensor, like: Tensor) -> Tensor:
    """The part, and 0 beyond it up to the size of another tensor."""
    out = torch.zeros_like(like)
    out[tuple(map(slice, part.shape))] = part
    return out


def reads_sum(weight: Tensor) -> Tensor:
    """A convolution's weight, to read the sum of both halves of twice as many channels."""
    return torch.cat((weight, weight), 1)


def widen_unit(wide: dict[str, Tensor], light: dict[str, Tensor], unit: str) -> None:
    """Let a unit make the light one's state in its second half of channels, and 0 in the first."""
    c = len(light[f"{unit}.keep"])
    beside = light[f"{unit}.gates.weight"].shape[1] - 2 * c  # channels of what is fed back

    def inputs(weight: Tensor, like: Tensor) -> Tensor:
        """The weight of a light unit, which reads its input, what is fed back, and its memory."""
        out = torch.zeros_like(like[: len(weight)])
        out[:, : 2 * c] = reads_sum(weight[:, :c])
        out[:, 2 * c : 2 * c + beside] = weight[:, c : c + beside]
        out[:, -c:] = weight[:, -c:]
        return out

    gates, candidate = f"{unit}.gates.weight", f"{unit}.candidate.weight"
    update, reset = inputs(light[gates], wide[gates]).chunk(2)
    wide[gates][c : 2 * c], wide[gates][-c:] = update, reset
    update, reset = light[f"{unit}.gates.bias"].chunk(2)
    wide[f"{unit}.gates.bias"][c : 2 * c], wide[f"{unit}.gates.bias"][-c:] = update, reset
    made = inputs(light[candidate], wide[candidate])
    wide[candidate] = torch.cat((torch.zeros_like(made), made))
    for name in (f"{unit}.candidate.bias", f"{unit}.keep"):
        wide[name] = torch.cat((torch.zeros_like(light[name]), light[name]))


def widen_attention(wide: dict[str, Tensor], light: dict[str, Tensor]) -> None:
    """Let the attention's scores be the light network's."""
    at = "decoder.attention"
    query, key = light[f"{at}.query.weight"], reads_sum(light[f"{at}.key.weight"])
    wide[f"{at}.query.weight"][: len(query)] = torch.cat((torch.zeros_like(query), query), 1)
    wide[f"{at}.query.bias"][: len(query)] = light[f"{at}.query.bias"]
    wide[f"{at}.key.weight"][: len(key)] = key
    wide[f"{at}.score.weight"] = padded(light[f"{at}.score.weight"], wide[f"{at}.score.weight"])
