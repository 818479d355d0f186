"""Which precision this processor multiplies matrices in best."""

from collections.abc import Mapping
from typing import Any

import torch


def best_dtype(has: Mapping[str, Any]) -> torch.dtype:
    """What matrices are multiplied in on a processor with these `capabilities`.

    bfloat16 only where it is multiplied in hardware (AMX or AVX512-BF16): elsewhere it is emulated, six times
    slower than float32.
    """
    return torch.bfloat16 if has.get("amx_bf16") or has.get("avx512_bf16") else torch.float32


def next_power_of_two(count: int) -> int:
    """The next power of two, from 1.

    A product in bfloat16 is compiled anew for every shape, which takes milliseconds: whoever multiplies as many rows
    as there happen to be fills them up to so many.
    """
    return 1 << max(0, count - 1).bit_length()


def cpu_capabilities() -> Mapping[str, Any]:
    """What this processor has; nothing where PyTorch is too old to tell."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
