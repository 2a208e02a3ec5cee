"""Triton's kernels for what lies between convolutions; ``pointwise`` says what each computes.

Tensors are read as flat memory with the channels last; ``i`` counts values, ``c`` channels.
"""

# mypy: allow-untyped-defs
import triton
import triton.language as tl


@triton.jit
def values_of(n, size: tl.constexpr):
    """The values of this program, and which of them there are."""
    i = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
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
