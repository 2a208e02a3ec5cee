"""Triton's kernels for what lies between convolutions; ``pointwise`` says what each computes.

Tensors are read as flat memory with the channels last; ``i`` counts values, ``c`` channels, both in
32 bits: a map of one frame of all clips takes far less than 4 GB.
"""

# mypy: allow-untyped-defs
import triton
import triton.language as tl


@triton.jit
def values_of(n, size: tl.constexpr):
    """The values of this program, and which of them there are."""
    i = tl.program_id(0) * size + tl.arange(0, size)
    return i, i < n


@triton.jit
def taken(x, i, there):
    """Values in float32."""
    return tl.load(x + i, mask=there, other=0.0).to(tl.float32)


@triton.jit
def given(x, i, there, value):
    """Store values in the type of x."""
    tl.store(x + i, value.to(x.dtype.element_ty), mask=there)


@triton.jit
def clamped(x, i, there, bound):
    """Values within [-bound, bound]."""
    return tl.minimum(tl.maximum(taken(x, i, there), -bound), bound)


@triton.jit
def bias_relu_kernel(z, bias, out, n, channels: tl.constexpr, size: tl.constexpr):
    i, there = values_of(n, size)
    value = taken(z, i, there) + taken(bias, i % channels, there)
    given(out, i, there, tl.maximum(value, 0.0))


@triton.jit
def bias_add_kernel(x, z, bias, out, n, channels: tl.constexpr, size: tl.constexpr):
    i, there = values_of(n, size)
    value = taken(x, i, there) + taken(z, i, there) + taken(bias, i % channels, there)
    given(out, i, there, value)


@triton.jit
def gates_kernel(
    z, bias, h, update, reset, seen, bound, n,
    channels: tl.constexpr, width: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    i, there = values_of(n, size)
    pixel, c = i // channels, i % channels
    first = pixel * 2 * channels + c
    u = tl.sigmoid(taken(z, first, there) + taken(bias, c, there))
    r = tl.sigmoid(taken(z, first + channels, there) + taken(bias, c + channels, there))
    given(update, i, there, u)
    given(reset, i, there, r)
    given(seen, pixel * width + width - channels + c, there, r * clamped(h, i, there, bound))


@triton.jit
def memory_kernel(
    z, bias, h, update, keep, candidate, out, bound, n,
    channels: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    i, there = values_of(n, size)
    new = 2 * tl.sigmoid(2 * (taken(z, i, there) + taken(bias, i % channels, there))) - 1
    kept = clamped(h, i, there, bound)
    if keep is not None:
        kept = kept * taken(keep, i % channels, there)
    given(candidate, i, there, new)
    given(out, i, there, kept + taken(update, i, there) * (new - kept))


@triton.jit
def memory_back_kernel(
    gradient, h, update, keep, candidate, dz, dgates, dh, dkeep, bound, n,
    channels: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    i, there = values_of(n, size)
    pixel, c = i // channels, i % channels
    g, u = taken(gradient, i, there), taken(update, i, there)
    new, old = taken(candidate, i, there), clamped(h, i, there, bound)
    kept, dkept = old, g * (1 - u)
    if keep is not None:
        share = taken(keep, c, there)
        given(dkeep, i, there, dkept * old)
        kept, dkept = share * old, share * dkept
    given(dz, i, there, g * u * (1 - new * new))
    given(dgates, pixel * 2 * channels + c, there, g * (new - kept) * u * (1 - u))
    given(dh, i, there, dkept)


@triton.jit
def reset_back_kernel(
    dseen, h, reset, dgates, dh, bound, n,
    channels: tl.constexpr, width: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    i, there = values_of(n, size)
    pixel, c = i // channels, i % channels
    d = taken(dseen, pixel * width + width - channels + c, there)
    r, old = taken(reset, i, there), clamped(h, i, there, bound)
    given(dgates, pixel * 2 * channels + channels + c, there, d * old * r * (1 - r))
    given(dh, i, there, taken(dh, i, there) + d * r)


@triton.jit
def clamp_back_kernel(
    dh, dseen, h, out, bound, n,
    channels: tl.constexpr, width: tl.constexpr, size: tl.constexpr,
):  # fmt: skip
    i, there = values_of(n, size)
    d = taken(dseen, i // channels * width + width - channels + i % channels, there)
    inside = tl.abs(taken(h, i, there)) <= bound
    given(out, i, there, tl.where(inside, taken(dh, i, there) + d, 0.0))


@triton.jit
def four_places(flow, height, width, n, pixels: tl.constexpr):
    """Of each pixel of (B, 2, h, w): the four pixels around where its flow leads, and two shares.

    The shares are those of the right and of the lower ones. Targets are moved onto the border.
    """
    i, there = values_of(n, pixels)
    plane = height * width
    frame, inside = i // plane, i % plane
    x = (inside % width).to(tl.float32) + taken(flow, 2 * frame * plane + inside, there)
    y = (inside // width).to(tl.float32) + taken(flow, (2 * frame + 1) * plane + inside, there)
    x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
    left, upper = tl.floor(x), tl.floor(y)
    above = frame * plane + upper.to(tl.int32) * width + left.to(tl.int32)
    right = (left < width - 1).to(tl.int32)
    below = (upper < height - 1).to(tl.int32) * width
    return above, right, below, x - left, y - upper


@triton.jit
def place_of_corner(place, right, below, x, y, corner: tl.constexpr):
    """One of the four pixels around a target, and its share: 1 and 3 are right, 2 and 3 lower."""
    share = (x if corner % 2 else 1 - x) * (y if corner // 2 else 1 - y)
    return place + right * (corner % 2) + below * (corner // 2), share


@triton.jit
def warp_kernel(
    image, flow, out, height, width, n,
    channels: tl.constexpr, lanes: tl.constexpr, pixels: tl.constexpr,
):  # fmt: skip
    place, right, below, x, y = four_places(flow, height, width, n, pixels)
    i, there = values_of(n, pixels)
    c, mask = tl.arange(0, lanes), there[:, None] & (tl.arange(0, lanes) < channels)[None, :]
    total = tl.zeros((pixels, lanes), tl.float32)
    for corner in tl.static_range(4):
        source, share = place_of_corner(place, right, below, x, y, corner)
        total += share[:, None] * taken(image, source[:, None] * channels + c[None, :], mask)
    given(out, i[:, None] * channels + c[None, :], mask, total)


@triton.jit
def warp_back_kernel(
    gradient, flow, dimage, height, width, n,
    channels: tl.constexpr, lanes: tl.constexpr, pixels: tl.constexpr,
):  # fmt: skip
    place, right, below, x, y = four_places(flow, height, width, n, pixels)
    i, there = values_of(n, pixels)
    c, mask = tl.arange(0, lanes), there[:, None] & (tl.arange(0, lanes) < channels)[None, :]
    d = taken(gradient, i[:, None] * channels + c[None, :], mask)
    for corner in tl.static_range(4):
        source, share = place_of_corner(place, right, below, x, y, corner)
        tl.atomic_add(
            dimage + source[:, None] * channels + c[None, :],
            share[:, None] * d,
            mask,
            sem="relaxed",
        )
