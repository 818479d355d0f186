"""Recursive (IIR) filters of one input, run in blocks by matrix products and without a loop over samples.

A block's output is its input times a triangular matrix of the impulse response, plus the response to the state before
the block. Only the state is computed block by block. The result equals that of a loop over samples to rounding.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCK: Final = 64
"""Samples of a block: longer blocks multiply more, shorter ones loop more."""
_NEGLIGIBLE: Final = 1e-140
"""A state below this becomes zero, because a processor computes subnormal numbers slowly."""


class BlockFilter:
    """Parallel filters of one input, each a cascade of second-order sections; the state carries over between calls.

    Args:
        sections: float64 [filters, sections, 6], rows (b0, b1, b2, a0, a1, a2) with a0 = 1.
    """

    def __init__(self, sections: Floats) -> None:
        self._filters = len(sections)
        systems = [_state_space(cascade) for cascade in sections]
        order = len(systems[0][1])
        self._responses = np.zeros((self._filters, BLOCK, BLOCK))
        self._outputs = np.zeros((self._filters, order, BLOCK))
        self._inputs = np.zeros((BLOCK, self._filters, order))
        self._powers = np.zeros((BLOCK + 1, self._filters, order, order))
        for number, (a, b, c, d) in enumerate(systems):
            power, impulse = np.eye(order), np.empty(BLOCK)
            for i in range(BLOCK):
                self._powers[i, number] = power
                self._outputs[number, :, i] = c @ power
                self._inputs[BLOCK - 1 - i, number] = power @ b
                impulse[i] = d if i == 0 else self._outputs[number, :, i - 1] @ b
                power = a @ power
            self._powers[BLOCK, number] = power
            for i in range(BLOCK):
                self._responses[number, i, i:] = impulse[: BLOCK - i]
        self._step = _block_diagonal(self._powers[BLOCK])
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
