"""A fitted network: its seed and weights, and the outputs of an ensemble of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nn_assets.arrays import FloatArray, IntArray
from nn_assets.learning.fitted import Arrays
from nn_assets.learning.heads import SIGN
from nn_assets.learning.networks import build_network
from nn_assets.learning.training import one_thread
from nn_assets.learning.windows import Windows
from nn_assets.settings import LearningSettings

BLOCK_SIZE = 128
"""Samples in every block that a network sees in inference, always, the rest being zeros."""


@dataclass(frozen=True, eq=False)
class Member:
    """One network of the ensemble: its seed and its weights."""

    seed: int
    state: Mapping[str, npt.NDArray[np.float32]]

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Lay the weights out by name."""
        return dict(self.state)

    @classmethod
    def from_arrays(cls, arrays: Arrays, number: int) -> Member:
        """Rebuild the network of a seed."""
        return cls(number, {name: np.asarray(value, dtype=np.float32) for name, value in arrays.items()})

    @classmethod
    def probabilities(
        cls, members: Sequence[Member], settings: LearningSettings, windows: Windows, rows: IntArray, columns: IntArray
    ) -> FloatArray:
        """Probabilities of shape (members, samples), of networks that learned a sign."""
        return SIGN.forecast(cls.outputs(members, settings, windows, rows, columns))

    @classmethod
    def outputs(
        cls, members: Sequence[Member], settings: LearningSettings, windows: Windows, rows: IntArray, columns: IntArray
    ) -> FloatArray:
        """Outputs of shape (members, samples).

        A network's last bits may depend on how many samples it sees at once and on a sample's place
        among them. So each sample has one place for ever: number ``row x symbols + symbol``, in blocks
        of 128 laid from row 0, unasked places filled with zeros.
        """
        _, symbols, features = windows.shape
        block, slot = np.divmod(rows * symbols + columns, BLOCK_SIZE)
        outputs = np.zeros((len(members), len(rows)))
        with one_thread(), torch.no_grad():
            networks = [member.network(settings, features) for member in members]
            for number in np.unique(block):
                chosen = np.flatnonzero(block == number)
                inputs = torch.zeros(BLOCK_SIZE, windows.lookback, features)
                inputs[torch.from_numpy(slot[chosen])] = torch.from_numpy(windows.gather(rows[chosen], columns[chosen]))
                for line, network in enumerate(networks):
                    outputs[line, chosen] = network(inputs).double().numpy()[slot[chosen]]
        return outputs

    def network(self, settings: LearningSettings, features: int) -> torch.nn.Module:
        """The layers with these weights, for inference."""
        network = build_network(settings, features)
        network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in self.state.items()})
        return network.eval()
