"""What signatures call a frame that keeps a contract: a DataFrame that carries the contract's name.

``Annotated[pd.DataFrame, "bars"]`` is a DataFrame to a type checker. The name is its contract's, so that a reader or a
tool finds there what the columns are; it is a text, so that a stored thing does not depend on a contract for its name.
A frame may have columns beside those of its contract, such as a ``known_at`` of the source's own.
"""

from __future__ import annotations

from typing import Annotated

import pandas as pd

# Handed over.
DeliveredBars = Annotated[pd.DataFrame, "delivered_bars"]
DeliveredActions = Annotated[pd.DataFrame, "delivered_actions"]
DeliveredSeries = Annotated[pd.DataFrame, "delivered_series"]

# Tables of the lake.
DailyBars = Annotated[pd.DataFrame, "bars"]
ComparedBars = Annotated[pd.DataFrame, "compared"]
Quarantine = Annotated[pd.DataFrame, "quarantine"]
Notices = Annotated[pd.DataFrame, "notices"]
RangeRows = Annotated[pd.DataFrame, "ranges"]
NoveltyRows = Annotated[pd.DataFrame, "novelty"]
FeatureRows = Annotated[pd.DataFrame, "features"]
ForecastRows = Annotated[pd.DataFrame, "forecasts"]
IntradayBars = Annotated[pd.DataFrame, "intraday_bars"]
ActionVersions = Annotated[pd.DataFrame, "action_versions"]
SeriesVersions = Annotated[pd.DataFrame, "series"]
MembershipVersions = Annotated[pd.DataFrame, "membership"]
HaltVersions = Annotated[pd.DataFrame, "trading_halts"]
BarVersions = Annotated[pd.DataFrame, "bar_versions"]
BarDetails = Annotated[pd.DataFrame, "bar_details"]
IntradayDetails = Annotated[pd.DataFrame, "intraday_details"]
IntradayVersions = Annotated[pd.DataFrame, "intraday_versions"]

# Tables of the ledger.
DecisionRows = Annotated[pd.DataFrame, "decisions"]
SignalRows = Annotated[pd.DataFrame, "signals"]
TargetPositionRows = Annotated[pd.DataFrame, "target_positions"]
PositionStepRows = Annotated[pd.DataFrame, "position_steps"]
OrderRows = Annotated[pd.DataFrame, "orders"]
PortfolioStateRows = Annotated[pd.DataFrame, "portfolio_states"]
HoldingRows = Annotated[pd.DataFrame, "holdings"]
DriftRows = Annotated[pd.DataFrame, "drift"]
TradingStateRows = Annotated[pd.DataFrame, "trading_states"]
FillRows = Annotated[pd.DataFrame, "fills"]
TrialRows = Annotated[pd.DataFrame, "trials"]
ModelRows = Annotated[pd.DataFrame, "models"]
RefreshRequestRows = Annotated[pd.DataFrame, "refresh_requests"]
CostModelRows = Annotated[pd.DataFrame, "cost_models"]
AuditChainRows = Annotated[pd.DataFrame, "audit_chain"]
