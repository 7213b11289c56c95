"""A chart of the window, looked at as an image: candles drawn from prices, or any table of (session, level)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from nn_assets.errors import SettingsError
from nn_assets.features.scaling import CLIP, Scaler
from nn_assets.settings import LearningSettings
from nn_assets.settings.section import Section

CANDLE_FEATURES = ("candle_open", "candle_high", "candle_low", "candle_close")
"""What candles are drawn from: log prices less the close of the session before."""

_FLAT = 1e-6  # in logs: a window that moves less is drawn as a line


class ImageSettings(Section):
    """What is drawn, and how finely.

    ``candles`` draws ``levels`` rows from the lowest low to the highest high of the window; ``table`` takes the
    strategy's features, in their order, as the levels of an image: the sizes in an order book by distance from its
    middle, for one.
    """

    image: Literal["candles", "table"] = "candles"
    levels: Annotated[int, Field(ge=8, le=128)] = 32


class ChartReader(torch.nn.Module):
    """Convolutions over an image of the window (Jiang, Kelly and Xiu 2023), then a linear layer on all that they see.

    Each of ``layers`` convolutions sees five levels and three sessions and halves the number of levels.

    Parameters
    ----------
    lookback, features : int
        Shape of a window.
    hidden, layers : int
        Channels, and number of convolutions.
    dropout : float
        Share of what they see that is silenced in training.
    image, levels
        As of :class:`ImageSettings`.
    """

    columns: torch.Tensor  # (4,), of the candles' features among those of a window
    center: torch.Tensor  # (4,), of their scaler
    scale: torch.Tensor  # (4,)

    def __init__(
        self, *, lookback: int, features: int, hidden: int, layers: int, dropout: float, image: str, levels: int
    ) -> None:
        super().__init__()
        self.levels = levels if image == "candles" else features
        self.draws = image == "candles"
        self.register_buffer("columns", torch.arange(4.0))
        self.register_buffer("center", torch.zeros(4))
        self.register_buffer("scale", torch.ones(4))
        stack: list[torch.nn.Module] = []
        height = self.levels
        for layer in range(layers):
            inputs = (3 if self.draws else 1) if layer == 0 else hidden
            stack += [torch.nn.Conv2d(inputs, hidden, (5, 3), stride=(2, 1), padding=(2, 1)), torch.nn.LeakyReLU(0.01)]
            height = (height + 1) // 2
        self.body = torch.nn.Sequential(*stack)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden * height * lookback, 1)

    def set_inputs(self, names: Sequence[str], scaler: Scaler) -> None:
        """Learn which features of a window the candles are drawn from, and what one unit of each is.

        Raises
        ------
        SettingsError
            One of them is missing.
        """
        if not self.draws:
            return
        missing = [name for name in CANDLE_FEATURES if name not in names]
        if missing:
            raise SettingsError(
                expected=f"features that candles can be drawn from: {', '.join(CANDLE_FEATURES)}",
                found=f"{', '.join(names)}, without {', '.join(missing)}",
                remedy="name them under features.names and leave features.select off, or set "
                "learning.network_settings.image: table",
                key="features.names",
            )
        chosen = [list(names).index(name) for name in CANDLE_FEATURES]
        self.columns.copy_(torch.tensor(chosen))
        self.center.copy_(torch.from_numpy(scaler.center[chosen]))
        self.scale.copy_(torch.from_numpy(scaler.scale[chosen]))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(batch, lookback, features) to logits (batch,)."""
        image = self.drawn(windows) if self.draws else windows.transpose(1, 2).unsqueeze(1)
        seen = self.dropout(self.body(image).flatten(start_dim=1))
        # squeeze(-1), not squeeze(): a batch of one stays a batch
        logits: torch.Tensor = self.head(seen).squeeze(-1)
        return logits

    def drawn(self, windows: torch.Tensor) -> torch.Tensor:
        """Draw the candles of each window.

        Returns
        -------
        Tensor, shape (batch, 3, levels, lookback)
            How far each level is covered, 0 to 1: by the range from low to high, by the body of a session that closed
            above its open, and by that of one that closed below, half of each where the two are equal. Level 0 is the
            lowest. Edges are drawn half a level soft. A move from the close before that is larger than what the scaler
            lets through, about ten deviations, is drawn as one of that size.
        """
        moves = windows[:, :, self.columns.long()] * self.scale + self.center  # (batch, lookback, 4)
        # the scaler cut each price by itself; a candle is cut as one, so that its close stays within its range
        cut = (CLIP * self.scale - self.center.abs()).min().clamp(min=0.0)
        moves = torch.maximum(torch.minimum(moves, cut), -cut)
        close = moves[..., 3].cumsum(dim=1)
        before = (close - moves[..., 3]).unsqueeze(-1)
        start, high, low = (before + moves[..., :3]).unbind(dim=-1)  # (batch, lookback)
        top = high.amax(dim=1, keepdim=True)
        bottom = low.amin(dim=1, keepdim=True)
        height = (top - bottom).clamp(min=_FLAT)
        start, high, low, close = ((price - bottom) / height for price in (start, high, low, close))
        # half of each where a session closes at its open: a step there would turn on the last digit
        rising = torch.sigmoid(4.0 * self.levels * (close - start)).unsqueeze(1)
        body = self._covered(torch.minimum(start, close), torch.maximum(start, close))
        return torch.stack([self._covered(low, high), body * rising, body * (1.0 - rising)], dim=1)

    def _covered(self, lower: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
        """(batch, lookback) of shares of the height to (batch, levels, lookback)."""
        middles = (torch.arange(self.levels, dtype=lower.dtype) + 0.5).unsqueeze(-1) / self.levels  # (levels, 1)
        sharpness = 4.0 * self.levels
        above = torch.sigmoid(sharpness * (middles - lower.unsqueeze(1)) + 2.0)
        below = torch.sigmoid(sharpness * (upper.unsqueeze(1) - middles) + 2.0)
        return above * below


def levels_read(settings: LearningSettings) -> tuple[str, ...]:
    """Features that a network reads by name as they are, which no transform may make stationary; none for most."""
    if settings.network != "candlestick" or settings.network_settings.get("image", "candles") != "candles":
        return ()
    return CANDLE_FEATURES


def build_candlestick(settings: LearningSettings, features: int, own: ImageSettings) -> torch.nn.Module:
    """Build a convolutional network on an image of the window (Jiang, Kelly and Xiu 2023): candles, or a table.

    Raises
    ------
    SettingsError
        Candles are to be drawn from another number of features than they have.
    """
    if own.image == "candles" and features != len(CANDLE_FEATURES):
        raise SettingsError(
            expected=f"the {len(CANDLE_FEATURES)} features that candles are drawn from: {', '.join(CANDLE_FEATURES)}",
            found=f"{features} features",
            remedy="name these under features.names and leave features.select off, or set "
            "learning.network_settings.image: table",
            key="features.names",
        )
    return ChartReader(
        lookback=settings.lookback,
        features=features,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
        image=own.image,
        levels=own.levels,
    )
