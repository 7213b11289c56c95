"""A strategy: one YAML file read into one frozen, typed object. Unknown or ill-typed keys are refused.

Takes the text of a file. Gives a Strategy, in which every default is stated.
Never looks a key up by its name at run time.
"""

from nn_assets.settings.data_sections import (
    FileSeriesSettings,
    FundingSeriesSettings,
    IntradaySettings,
    SeriesSettings,
    SimulatedFundingSettings,
    UniverseSettings,
)
from nn_assets.settings.reading import load_strategy, parse_strategy
from nn_assets.settings.search import SearchSettings
from nn_assets.settings.sections import (
    CleaningSettings,
    CostSettings,
    ExecutionSettings,
    FeatureSettings,
    GateSettings,
    LabelSettings,
    LearningSettings,
    MarketSettings,
    OversightSettings,
    PortfolioSettings,
    RegimeSettings,
    WalkForwardSettings,
)
from nn_assets.settings.sources import SourceSection, SourceSettings, UncheckedSource
from nn_assets.settings.strategy import Strategy

__all__ = [
    "CleaningSettings",
    "CostSettings",
    "ExecutionSettings",
    "FeatureSettings",
    "FileSeriesSettings",
    "FundingSeriesSettings",
    "GateSettings",
    "IntradaySettings",
    "LabelSettings",
    "LearningSettings",
    "MarketSettings",
    "OversightSettings",
    "PortfolioSettings",
    "RegimeSettings",
    "SearchSettings",
    "SeriesSettings",
    "SimulatedFundingSettings",
    "SourceSection",
    "SourceSettings",
    "Strategy",
    "UncheckedSource",
    "UniverseSettings",
    "WalkForwardSettings",
    "load_strategy",
    "parse_strategy",
]
