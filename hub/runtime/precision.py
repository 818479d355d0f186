"""Choose the fastest precision of this processor for matrix products."""

from collections.abc import Mapping
from typing import Any

import torch


def best_dtype(has: Mapping[str, Any]) -> torch.dtype:
    """Return the fastest data type for matrix products on a processor with these capabilities.

    bfloat16 requires hardware support (AMX or AVX512-BF16); its emulation is six times slower than float32.
    """
    return torch.bfloat16 if has.get("amx_bf16") or has.get("avx512_bf16") else torch.float32


def next_power_of_two(count: int) -> int:
    """Return the smallest power of two that is at least `count`, from 1.

    PyTorch compiles a product in bfloat16 for every new shape, which takes milliseconds. A caller with a varying
    number of rows pads them to this number.
    """
    return 1 << max(0, count - 1).bit_length()


def cpu_capabilities() -> Mapping[str, Any]:
    """Return the capabilities of this processor; empty if PyTorch is too old to report them."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
