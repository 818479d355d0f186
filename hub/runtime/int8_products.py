"""Products of bytes with a matrix in signed bytes, by PyTorch's oneDNN kernel for quantised layers.

They require a processor that multiplies 8-bit integers (AVX512-VNNI or AMX).
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from hub.runtime.precision import cpu_capabilities

Packed = tuple[Any, Tensor, Tensor]
"""A matrix [out, wide] in signed bytes in the layout of the kernel, the scale of each row, and zeros."""


def packed(weight: Tensor) -> Packed:
    """Return a matrix float32 [out, wide], rounded to signed bytes."""
    codes, scale = _codes(weight)
    return torch.ops.onednn.qlinear_prepack(codes, None), scale, torch.zeros(len(scale), dtype=torch.int64)


def sums(weight: Tensor) -> Tensor:
    """Return the product of a row of ones with a matrix float32 [out, wide] rounded by `packed`: float32 [out]."""
    codes, scale = _codes(weight)
    return codes.sum(dim=1) * scale


def _codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = (weight.abs().amax(dim=1) / 127.0).clamp(min=1e-12)
    return (weight / scale[:, None]).round().to(torch.int8), scale


def product(
    codes: Tensor,
    matrix: Packed,
    dtype: torch.dtype = torch.float32,
    bias: Tensor | None = None,
    *,
    rectified: bool = False,
) -> Tensor:
    """Return bytes uint8 [n, wide] times a matrix [out, wide], plus `bias`, float32 [out], if there is one: [n, out].

    As uint8, the result is rounded and clipped to [0, 255], which is also a ReLU; `rectified` applies one to floats.
    """
    weight, scale, zero = matrix
    result: Tensor = torch.ops.onednn.qlinear_pointwise(
        codes, 1.0, 0, weight, scale, zero, bias, 1.0, 0, dtype, "relu" if rectified else "none", [], ""
    )
    return result


@cache
def bytes_multiply() -> bool:
    """Return whether this processor and this PyTorch multiply bytes fast and correctly; tested once."""
    has = cpu_capabilities()
    if not (has.get("avx512_vnni") or has.get("amx_int8")):
        return False
    try:
        result = product(torch.tensor([[3, 255]], dtype=torch.uint8), packed(torch.tensor([[1.0, -2.0]])))
    except (AttributeError, RuntimeError, TypeError):  # an internal operator of PyTorch, which may change
        return False
    return abs(float(result) + 507.0) < 5.0
