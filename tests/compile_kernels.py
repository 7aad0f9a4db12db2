"""Compile every kernel for an NVIDIA GPU of compute capability 9.0; no GPU is needed for that.

Triton's interpreter accepts what its compiler does not. Prints a line for each kernel, with what
its machine code must not hold: fused multiplications and additions, approximate divisions.
"""

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rrm_theory.reweight import kernels, order

POINTERS = {16: "*i16", 32: "*i32", 64: "*i64"}


# Triton makes a constant of a number that is 1: one sample, one tile, K = 1.
ONES = ("n", "tiles", "programs", "rank_wanted")


def compiled(function, types, constants):
    """Return the assembly of a kernel: `types` of its arguments, the others are constants."""
    names = function.arg_names
    alone = (name for name in ONES if name in names and name not in types)
    constants = constants | dict.fromkeys(alone, 1)
    source = ASTSource(
        fn=function,
        signature={name: types.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    gpu = GPUTarget("cuda", 90, 32)
    return triton.compile(source, target=gpu, options=kernels.OPTIONS).asm["ptx"]


def report(function, types, constants):
    """Print what the machine code holds."""
    code = compiled(function, types, constants)
    found = [bad for bad in ("fma.rn", "div.full", "div.approx") if bad in code]
    print(function.__name__, *constants.values(), "|", *found)


def main():
    """Compile for all types of losses and of weights."""
    numbers = dict.fromkeys(
        ("state", "flag", "found", "chosen", "counts", "below", "numbers"), "*i64"
    )
    many = dict.fromkeys(("n", "rank_wanted"), "i64") | dict.fromkeys(("tiles", "programs"), "i32")
    for dtype in order.INTEGERS:
        losses(dtype, numbers | many)
    losses(torch.float32, numbers)
    for weights in ("*fp32", "*fp64"):
        types = dict.fromkeys(("shares", "weights", "step"), weights) | {"parts": "*u8"} | numbers
        report(kernels._share, types | many, {"CHUNK": kernels.CHUNK})
        report(kernels._blend, types | many, {"TILE": kernels.TILE})


def losses(dtype, numbers):
    """Compile what reads losses."""
    width = order.width(dtype)
    types = {"bits": POINTERS[width], "parts": "*u8"} | numbers
    ends = {"INFINITE": order.infinite_key(dtype), "LIMIT": order.infinite_key(dtype) - 1}
    tile, chunk = {"TILE": kernels.TILE}, {"CHUNK": kernels.CHUNK}
    report(kernels._scan, types, ends | {"WIDTH": width} | tile)
    for mode in ("price", "level", "finite"):
        constants = {"INFINITE": ends["INFINITE"], "WIDTH": width, "MODE": mode} | chunk
        given = {"given": "*fp64" if mode == "price" else "*i64"}
        report(kernels._decide, types | given, constants | {"KIND": str(dtype).split(".")[1]})
    report(kernels._mark, types, {"WIDTH": width} | tile)
    for shift in range(0, width, kernels.DIGIT):
        digit = {"WIDTH": width, "SHIFT": shift, "DIGIT": kernels.DIGIT}
        report(kernels._histogram, types, ends | digit | tile)
        report(kernels._choose, types, digit | chunk)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
