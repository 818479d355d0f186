import pytest
import torch

from hub.runtime.precision import best_dtype, cpu_capabilities


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ({}, torch.float32),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.float32),
    ],
)
def test_bfloat16_is_chosen_only_where_the_processor_multiplies_in_it(
    has: dict[str, bool], dtype: torch.dtype
) -> None:
    assert best_dtype(has) is dtype


def test_this_processor_has_a_best_precision() -> None:
    assert best_dtype(cpu_capabilities()) in {torch.float32, torch.bfloat16}
