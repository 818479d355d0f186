"""Recursive (IIR) filters of one input, run in blocks by matrix products and without a loop over samples.

A block's output is its input times a triangular matrix of the impulse response, plus the response to the state before
the block. Only the state is computed block by block. The result equals that of a loop over samples to rounding.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCK: Final = 64
"""Samples of a block: longer blocks multiply more, shorter ones loop more."""
_NEGLIGIBLE: Final = 1e-140
"""A state below this becomes zero, because a processor computes subnormal numbers slowly."""


class _Matrices(NamedTuple):
    """What a block's output and the state after it are computed with; read-only.

    Attributes:
        responses: block to its output from rest, float64 [filters, BLOCK, BLOCK].
        outputs: state to the block's output, float64 [filters, order, BLOCK].
        inputs: block to the state after it, float64 [BLOCK, filters, order].
        powers: state to the state after 0 to BLOCK samples, float64 [BLOCK + 1, filters, order, order].
        step: the last of them for all filters, float64 [filters * order, filters * order].
    """

    responses: Floats
    outputs: Floats
    inputs: Floats
    powers: Floats
    step: Floats


@lru_cache(maxsize=32)
def _matrices(shape: tuple[int, ...], sections: bytes) -> _Matrices:
    """Return the matrices of filters whose sections have a shape and these bytes; a meter restarts at every gap."""
    systems = [_state_space(cascade) for cascade in np.frombuffer(sections, np.float64).reshape(shape)]
    filters, order = len(systems), len(systems[0][1])
    responses, outputs = np.zeros((filters, BLOCK, BLOCK)), np.zeros((filters, order, BLOCK))
    inputs, powers = np.zeros((BLOCK, filters, order)), np.zeros((BLOCK + 1, filters, order, order))
    for number, (a, b, c, d) in enumerate(systems):
        power, impulse = np.eye(order), np.empty(BLOCK)
        for i in range(BLOCK):
            powers[i, number] = power
            outputs[number, :, i] = c @ power
            inputs[BLOCK - 1 - i, number] = power @ b
            impulse[i] = d if i == 0 else outputs[number, :, i - 1] @ b
            power = a @ power
        powers[BLOCK, number] = power
        for i in range(BLOCK):
            responses[number, i, i:] = impulse[: BLOCK - i]
    made = _Matrices(responses, outputs, inputs, powers, _block_diagonal(powers[BLOCK]))
    for matrix in made:
        matrix.flags.writeable = False
    return made


class BlockFilter:
    """Parallel filters of one input, each a cascade of second-order sections; the state carries over between calls.

    Args:
        sections: float64 [filters, sections, 6], rows (b0, b1, b2, a0, a1, a2) with a0 = 1.
    """

    def __init__(self, sections: Floats) -> None:
        made = _matrices(sections.shape, np.ascontiguousarray(sections).tobytes())
        self._responses, self._outputs, self._inputs, self._powers, self._step = made
        self._filters, order = len(sections), made.outputs.shape[1]
        self._state = np.zeros((self._filters, order))

    def process(self, samples: Floats) -> Floats:
        """Filter the next samples.

        Args:
            samples: float64 [n], any n.

        Returns:
            float64 [filters, n].
        """
        blocks, rest = divmod(samples.size, BLOCK)
        filtered = np.empty((self._filters, samples.size))
        whole = blocks * BLOCK
        if blocks:
            filtered[:, :whole] = self._whole_blocks(samples[:whole].reshape(blocks, BLOCK))
        if rest:
            tail = samples[whole:]
            driven = tail @ self._responses[:, :rest, :rest]
            free = (self._state[:, None, :] @ self._outputs[:, :, :rest])[:, 0]
            filtered[:, whole:] = driven + free
            kept = (self._powers[rest] @ self._state[:, :, None])[:, :, 0]
            self._state = kept + np.tensordot(tail, self._inputs[BLOCK - rest :], axes=1)
        self._state[np.abs(self._state) < _NEGLIGIBLE] = 0.0
        return filtered

    def _whole_blocks(self, samples: Floats) -> Floats:
        blocks, (filters, order) = len(samples), self._state.shape
        drives = samples @ self._inputs.reshape(BLOCK, -1)
        states = np.empty((blocks, filters * order))
        state = self._state.reshape(-1)
        for number, drive in enumerate(drives):
            states[number] = state
            state = self._step @ state + drive
        self._state = state.reshape(filters, order)
        before = states.reshape(blocks, filters, order).transpose(1, 0, 2)
        return np.asarray((samples @ self._responses + before @ self._outputs).reshape(filters, -1))


def response_db(sections: Floats, frequencies_hz: Floats, rate_hz: float) -> Floats:
    """Return the gain in dB (float64, shape of the frequencies) of one cascade, float64 [sections, 6]."""
    delay = np.exp(-2j * np.pi * np.asarray(frequencies_hz)[..., None] / rate_hz)
    powers = np.stack([np.ones_like(delay), delay, delay**2])
    over, under = np.tensordot(sections[:, :3], powers, (1, 0)), np.tensordot(sections[:, 3:], powers, (1, 0))
    gains = np.abs(np.prod(over / under, axis=0))[..., 0]
    return np.asarray(20.0 * np.log10(np.maximum(gains, 1e-30)))


def _state_space(cascade: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Return A, B, C, D of a cascade of sections in transposed direct form II."""
    a, b, c, d = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
    for b0, b1, b2, _, a1, a2 in cascade:
        own_a = np.array([[-a1, 1.0], [-a2, 0.0]])
        own_b, own_c = np.array([b1 - a1 * b0, b2 - a2 * b0]), np.array([1.0, 0.0])
        joined = np.zeros((len(b) + 2, len(b) + 2))
        joined[: len(b), : len(b)] = a
        joined[len(b) :, : len(b)] = np.outer(own_b, c)
        joined[len(b) :, len(b) :] = own_a
        a, b, c, d = joined, np.append(b, own_b * d), np.append(b0 * c, own_c), b0 * d
    return a, b, c, d


def _block_diagonal(matrices: Floats) -> Floats:
    filters, order, _ = matrices.shape
    joined = np.zeros((filters, order, filters, order))
    for number, matrix in enumerate(matrices):
        joined[number, :, number] = matrix
    return joined.reshape(filters * order, filters * order)
