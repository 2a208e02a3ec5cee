"""Compiles Triton's kernels for a GPU of NVIDIA's Hopper generation; it takes no GPU.

    python tests/triton_compiled.py

It ends with an error where one cannot be compiled: the interpreter lets pass what a GPU does not.
"""

from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from s2svr.fused import kernels

HOPPER = GPUTarget("cuda", 90, 32)
# Every kernel's map in the step's format, in the order of its arguments; others are float32.
LOW = {
    "bias_relu_kernel": ("z", "out"),
    "bias_add_kernel": ("x", "z", "out"),
    "gates_kernel": ("z", "update", "reset", "seen"),
    "memory_kernel": ("z", "update", "candidate"),
    "memory_back_kernel": ("update", "candidate", "dz", "dgates", "dkeep"),
    "reset_back_kernel": ("dseen", "reset", "dgates"),
    "clamp_back_kernel": ("dseen",),
    "warp_kernel": ("image", "out"),
    "warp_back_kernel": ("gradient",),
}
WHOLE = ("n", "height", "width")
FIXED = {"channels": 48, "width": 112, "lanes": 64, "pixels": 32, "size": 1024}


def compile_kernel(name: str, low: str, fixed: dict[str, int | None]) -> None:
    """Compile one down to the GPU's own code; ``fixed`` are arguments that are known by then."""
    kernel = getattr(kernels, name)
    constant = [p.name for p in kernel.params if p.is_constexpr] + [k for k in fixed if k == "keep"]
    types, values = {}, {}
    for place, argument in enumerate(kernel.arg_names):
        if argument in constant:
            types[argument], values[(place,)] = "constexpr", fixed[argument]
        elif argument in WHOLE:
            types[argument] = "i32"
        elif argument == "bound":
            types[argument] = "fp32"
        else:
            types[argument] = f"*{low}" if argument in LOW[name] else "*fp32"
    assert compile(ASTSource(kernel, types, values), target=HOPPER).asm["cubin"]


if __name__ == "__main__":
    assert set(LOW) == {name for name in vars(kernels) if name.endswith("_kernel")}
    for name in LOW:
        for low in ("bf16", "fp32"):
            compile_kernel(name, low, FIXED)
            if "keep" in getattr(kernels, name).arg_names:
                compile_kernel(name, low, {**FIXED, "keep": None})
