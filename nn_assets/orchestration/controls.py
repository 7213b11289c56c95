"""The kill switch as a job, for whoever has Dagster's pages open: launched with a state and a reason."""

from __future__ import annotations

import dagster as dg

from nn_assets.operations.accounts.halting import halt_or_release
from nn_assets.operations.names import KILL_SWITCH_JOB
from nn_assets.orchestration.resources import StoresResource

_CONFIG = {
    "state": dg.Field(str, description="HALTED, REDUCING or ACTIVE."),
    "reason": dg.Field(str, description="Why; it is kept in the ledger."),
    "strategy": dg.Field(str, default_value="", description="Empty: every one is halted or reduced."),
    "who": dg.Field(str, default_value="operator, by the job"),
}


def kill_switch_job(stores: StoresResource) -> dg.JobDefinition:
    """The job that sets the kill switch, as ``nn-assets control kill-switch`` does; it is of no strategy's own."""

    @dg.op(name="set_kill_switch", config_schema=_CONFIG)
    def set_switch(context) -> None:  # type: ignore[no-untyped-def]  # Dagster cannot resolve its name here
        config = context.op_config
        named = config["strategy"] or None
        done = halt_or_release(named, config["state"], config["who"], config["reason"], stores.ledger or None)
        context.log.info(done["text"])

    @dg.job(name=KILL_SWITCH_JOB, executor_def=dg.in_process_executor)
    def kill_switch() -> None:
        """Sets the kill switch: HALTED, REDUCING or ACTIVE, and a reason. HALTED cancels at the venues at once."""
        set_switch()

    return kill_switch
