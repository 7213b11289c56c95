"""The one decision function: eight ordered steps from signals to target quantities.

``portfolio.construction`` says how the first seven are taken: by the programme
(:mod:`nn_assets.portfolio.by_programme`) or name by name (:mod:`nn_assets.portfolio.per_name`). Binary contracts have
an exact bet of their own (:mod:`nn_assets.portfolio.binary`).

Replay and the daily round call it alike. It is pure and works on arrays; the frames of a decision
(targets, trace) are made by :mod:`nn_assets.portfolio.trace` when they are read.

Controls act last and on what is held. Steps 1 to 7 move the unscaled book: they start from that of the session
before and know nothing of scales. Step 8 multiplies it by the scale in force, name by name, so that whatever is
held, and whatever its sale costs, no target is above the scale times the unscaled size.
"""

from __future__ import annotations

import math

import numpy as np

from nn_assets.costs.model import CostModel
from nn_assets.errors import DecisionError
from nn_assets.portfolio.binary import decide_binary
from nn_assets.portfolio.by_programme import decide_by_programme
from nn_assets.portfolio.inputs import STEP_NAMES, Decision, DecisionInputs
from nn_assets.portfolio.per_name import decide_per_name
from nn_assets.settings import PortfolioSettings

__all__ = ["STEP_NAMES", "Decision", "DecisionInputs", "decide"]


def decide(inputs: DecisionInputs, settings: PortfolioSettings, costs: CostModel) -> Decision:
    """Decide the positions to hold next, in the eight steps of the contract.

    Parameters
    ----------
    inputs : DecisionInputs
        Facts known at the session's close. A missing fact of a symbol gives it a target of zero.
    settings : PortfolioSettings
        Limits and fractions.
    costs : CostModel
        The model in force.

    Returns
    -------
    Decision
        ``target_quantity`` is a multiple of the lot size wherever it differs from the quantity held, and at most
        the scale in force times ``unscaled_quantity``, but where all is halted.

    Raises
    ------
    DecisionError
        Equity or drawdown is not a number: the state is unreadable, and nothing may be decided.
    """
    if not (math.isfinite(inputs.equity_usd) and math.isfinite(inputs.drawdown_fraction)):
        raise DecisionError(
            expected="a finite equity and drawdown",
            found=f"equity {inputs.equity_usd}, drawdown {inputs.drawdown_fraction}",
            remedy="verify the ledger and the previous session's portfolio state",
            session=inputs.session,
        )
    construction = decide_by_programme if settings.construction == "programme" else decide_per_name
    if inputs.binary is not None:
        construction = decide_binary
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return construction(inputs, settings, costs)
