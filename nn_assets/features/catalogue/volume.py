"""The volume group."""

from __future__ import annotations

from nn_assets.arrays import FloatArray
from nn_assets.features.catalogue.definition import Context, Feature
from nn_assets.features.catalogue.prices import close_location_value, log_positive, ratio
from nn_assets.features.rolling import rolling_mean, rolling_std, rolling_sum
from nn_assets.market.panel import Panel


def _volume_z(panel: Panel, _: Context) -> FloatArray:
    logged = log_positive(panel.volume)
    return ratio(logged - rolling_mean(logged, 20), rolling_std(logged, 20))


def _signed_volume_balance(panel: Panel, _: Context) -> FloatArray:
    signed = panel.volume * close_location_value(panel)
    return ratio(rolling_sum(signed, 20), rolling_sum(panel.volume, 20))


VOLUME = (
    Feature(
        name="volume_z_20",
        group="volume",
        reach_sessions=19,
        fields=("volume",),
        compute=_volume_z,
        formula=(
            "(log V - mean_20(log V)) / std_20(log V), the session itself included; of the logarithm, "
            "whose distribution is near normal; no value where a volume is zero or all 20 are equal"
        ),
        source="standard; log-normal volume after Ajinkya and Jain (1989)",
    ),
    Feature(
        name="signed_volume_balance_20",
        group="volume",
        reach_sessions=19,
        fields=("high", "low", "close", "volume"),
        compute=_signed_volume_balance,
        formula="sum_20(V x close location value) / sum_20(V), in [-1, 1]; no value where sum_20(V) is zero",
        source="Chaikin's money flow",
    ),
)
