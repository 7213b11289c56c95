"""A feature or network that breaks its contract is refused before it is used, with the bar and the values."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.errors import PluginError
from nn_assets.learning.compute import open_compute
from nn_assets.operations.plugins import prepare
from nn_assets.settings import load_strategy
from tests.plugins.texts import FEATURES, NETWORK, feature_file, naming, network_file, written

BAR = ("symbol", "session")

FEATURE_FAULTS = {
    "a centred mean": (
        "return pd.DataFrame(panel.close).rolling(3, center=True).mean().to_numpy()",
        "it looks ahead",
        BAR,
    ),
    "a score by the whole sample": (
        "return (panel.close - np.nanmean(panel.close, 0)) / np.nanstd(panel.close, 0)",
        "it looks ahead",
        BAR,
    ),
    "the last bar": ("return panel.close / panel.close[-1]", "it looks ahead", BAR),
    "filled from the next bar": ("return pd.DataFrame(panel.close).bfill().to_numpy()", "it looks ahead", BAR),
    "the date of the last session": (
        "return np.where(panel.sessions[-1].day > 15, 1.0, 2.0) * panel.close",
        "it looks ahead",
        BAR,
    ),
    "an infinity": (
        "return np.where(panel.close == panel.close[40], np.inf, panel.close)",
        "an infinity: inf",
        BAR,
    ),
    "gaps filled": (
        "return np.nan_to_num(panel.close) * lagged(panel.close, 1) / lagged(panel.close, 1)",
        "(?s)a value, made up or of fewer bars: 0.0.*rolling_sum and its like",
        BAR,
    ),
    "another shape": ("return panel.close.mean(axis=1)", r"found one of shape \(82,\)", ()),
    "no array": ("return pd.DataFrame(panel.close)", "but DataFrame", ()),
    "whole numbers": ("return (panel.close > 0).astype(int)", "one of int64", ()),
    "its input written over": (
        "panel.close[10] = 0.0\n    return panel.close * 1.0",
        "it writes close over: .* and 0.0",
        BAR,
    ),
    "another symbol": (
        "moved = panel.close / lagged(panel.close, 1)\n    return moved - np.nanmean(moved, axis=1, keepdims=True)",
        "another symbol",
        BAR,
    ),
    "a field that it does not state": (
        "return panel.close * np.sign(panel.volume)",
        r"it reads what it states alone: close; found it reads volume\. Remedy: state it, fields=\('close', 'volume'\)",
        (),
    ),
    "an end of the process": ("raise SystemExit(0)", "SystemExit: 0", ()),
    "further back than stated": (
        "return pd.DataFrame(panel.close).expanding(2).mean().to_numpy() + 0 * lagged(panel.close, 1)",
        "(?s)older bars change it.*state a larger reach_sessions",
        BAR,
    ),
    "drawn": (
        "return panel.close * np.random.default_rng().uniform() + 0 * lagged(panel.close, 1)",
        "two computations of the same bars differ",
        BAR,
    ),
    "ahead on Wednesdays alone": (
        ("ahead = np.vstack([panel.close[1:], np.full((1, panel.close.shape[1]), np.nan)])\n"
        "    day = (panel.sessions.dayofweek == 2)[:, None]\n"
        "    return np.where(day, ahead, panel.close) + 0 * lagged(panel.close, 1)"),
        "it looks ahead",
        BAR,
    ),
    "what lies behind a view": (
        ("whole = panel.close if panel.close.base is None else panel.close.base\n"
        "    ahead = np.vstack([whole[1:], whole[-1:]])[: len(panel.close)]\n"
        "    return np.where(whole is panel.close, panel.close, ahead) + 0 * lagged(panel.close, 1)"),
        "it looks ahead",
        BAR,
    ),
    "ahead where there are years of bars": (
        ("last = panel.close[-1] if len(panel.close) > 500 else 1.0\n"
        "    return panel.close / last + 0 * lagged(panel.close, 1)"),
        "it looks ahead",
        BAR,
    ),
    "the last symbol": (
        "return panel.close[:, -1:] + 0 * panel.close + 0 * lagged(panel.close, 1)",
        "another symbol",
        BAR,
    ),
    "what it was asked before": (
        ("kept = globals().setdefault('KEPT', {})\n"
        "    whole = kept.setdefault(panel.close[:1].tobytes(), panel.close / panel.close[-1])\n"
        "    return whole[: len(panel.close)] + 0 * lagged(panel.close, 1)"),
        "KEPT changes from one call to the next",
        (),
    ),
    "nothing at all": ("return np.full(panel.close.shape, np.nan)", "none on any bar", ()),
    "an error": ("return panel.closes", "AttributeError", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", FEATURE_FAULTS.values(), ids=FEATURE_FAULTS)
def test_a_feature_that_breaks_its_contract_is_refused(tmp_path: Path, case: tuple[str, str, tuple[str, ...]]) -> None:
    body, message, where = case
    with pytest.raises(PluginError, match=message) as refused:
        prepare(load_strategy(written(tmp_path, mine=feature_file(body))))
    assert refused.value.where["feature"] == "mine"
    assert all(key in refused.value.where for key in where)
    by_the_body = any(text in message for text in ("SystemExit: 0", "AttributeError", "it reads volume"))
    assert refused.value.where["file"] == str(tmp_path / "mine.py")
    assert refused.value.where["line"] == (8 if by_the_body else 6)


def test_features_as_a_person_writes_them_are_taken(tmp_path: Path) -> None:
    by_pandas = feature_file("return pd.DataFrame(panel.close).pct_change(fill_method=None).to_numpy()")
    by_sums = by_pandas.replace("mine", "sums").replace("pct_change(fill_method=None)", "rolling(2).mean()")
    beside = feature_file("return context.market * panel.close / lagged(panel.close, 1)", needs_market=True).replace(
        "mine", "beside"
    )
    series = feature_file("return context.known.values / 2.0", role="mood", reach_sessions=0).replace("mine", "mood")
    texts = {"one": by_pandas, "two": by_sums, "three": beside, "four": series, "five": FEATURES}
    prepare(load_strategy(written(tmp_path, **texts)))


HEAD = "self.head = torch.nn.Linear(features, 1)"
LINEAR = "return self.head(windows[:, -1]).squeeze(-1)"
NETWORK_FAULTS = {
    "a column": (network_file("return self.head(windows[:, -1])"), r"found \(6, 1\)"),
    "one for all": (network_file("return self.head(windows[:, -1]).mean()"), r"found \(\)"),
    "an infinity": (network_file("return self.head(windows[:, -1]).squeeze(-1) / 0.0"), "finite logits"),
    "a gradient that is none": (
        network_file(
            "return self.head(torch.sqrt(self.scale * windows[:, -1] * 0.0)).squeeze(-1)",
            HEAD + "; self.scale = torch.nn.Parameter(torch.ones(1))",
        ),
        "finite gradients of scale; found (nan|inf)",
    ),
    "rows beside one another": (
        network_file("return self.head(windows[:, -1] - windows[:, -1].mean(0)).squeeze(-1)"),
        "row 0 judged without regard to the other rows",
    ),
    "rows beside one another in large batches": (
        network_file("rows = windows[:, -1]; return self.head(rows - (len(rows) > 64) * rows.mean(0)).squeeze(-1)"),
        "judged without regard to the other rows",
    ),
    "what it saw before": (
        network_file(
            "self.seen += 0 if self.training else 1; return self.head(windows[:, -1]).squeeze(-1)",
            HEAD + "; self.register_buffer('seen', torch.zeros(1))",
        ),
        "nothing kept of what it is asked; found seen",
    ),
    "batch and time mistaken": (
        network_file(
            "return self.head(self.body(windows)[0][:, -1]).squeeze(-1)",
            "self.body = torch.nn.LSTM(features, 4); self.head = torch.nn.Linear(4, 1)",
        ),
        "row [0-9] judged without regard",
    ),
    "weights of no seed": (
        network_file(LINEAR, f"{HEAD}; self.head.bias.data[0] = __import__('time').time_ns() % 997"),
        "the same weights by the same seed; found head.bias",
    ),
    "logits of no seed": (
        network_file(LINEAR + " + (__import__('time').time_ns() % 997)"),
        "the same logits by the same seed",
    ),
    "its input written over": (network_file("windows.mul_(2.0); " + LINEAR), "it writes over its input"),
    "a weight that nothing reads": (
        network_file(LINEAR, HEAD + "; self.other = torch.nn.Linear(3, 1)"),
        "a gradient of other.weight",
    ),
    "a batch of one": (network_file("return self.head(windows[:, -1]).squeeze()"), "a batch of one"),
    "an error": (network_file("return self.heads(windows)"), "AttributeError"),
    "no module": (network_file(LINEAR).replace("return Mine(features)", "return None"), "(AttributeError|NoneType)"),
}  # fmt: skip


@pytest.mark.parametrize("case", NETWORK_FAULTS.values(), ids=NETWORK_FAULTS)
def test_a_network_that_breaks_its_contract_is_refused(tmp_path: Path, case: tuple[str, str]) -> None:
    text, message = case
    strategy = naming(written(tmp_path, mine=text), learning="{network: mine, lookback: 4}")
    with pytest.raises(PluginError, match=message) as refused:
        prepare(strategy)
    assert refused.value.where["network"] == "mine"
    assert refused.value.where["file"] == str(tmp_path / "mine.py")
    line = text.splitlines()[int(str(refused.value.where["line"])) - 1]
    assert ("self.heads" if message == "AttributeError" else "@register_network" if HEAD in text else "") in line


@pytest.mark.parametrize("residual", ["true", "false"])
def test_a_network_that_keeps_it_is_taken(tmp_path: Path, residual: str) -> None:
    learning = f"{{network: shallow, residual: {residual}, network_settings: {{width: 3}}}}"
    prepare(naming(written(tmp_path, mine=NETWORK), learning=learning))


def test_a_residual_network_without_a_head_is_refused(tmp_path: Path) -> None:
    text = network_file(LINEAR.replace("head", "last"), "self.last = torch.nn.Linear(features, 1)")
    with pytest.raises(PluginError, match="head"):
        prepare(naming(written(tmp_path, mine=text), learning="{network: mine, residual: true}"))


BROKER = """
import numpy as np
from nn_assets.execution.orders import joined_orders
from nn_assets.execution.registry import register_broker
from nn_assets.portfolio.fills import no_fills


@register_broker("mine")
class Mine:
    def __init__(self, account):
        self.account, self.sent = account, []

    def send(self, orders):
        self.sent.append(orders)

    def cancel(self, client_order_ids):
        assert not list(client_order_ids)

    def orders(self):
        return joined_orders(self.sent)

    def fills(self):
        assert not any(map(len, self.sent)), "an order was sent"
        return no_fills()

    def positions(self):
        return self.account.book.quantity

    def cash(self):
        return self.account.book.cash_usd
"""
OPENED = "from nn_assets.execution.registry import register_broker\n@register_broker('mine')\ndef mine(account):\n"
BROKER_FAULTS = {
    "a number": (OPENED + "    return 5\n", "TypeError: 5, without send, cancel, orders", 2),
    "an error as it opens": (OPENED + "    return account.venue\n", "AttributeError: .*'venue'", 4),
    "no method cash": (BROKER.replace("def cash", "def money"), "without cash", 10),
    "an error as it is sent orders": (BROKER.replace("self.sent.append", "self.send.append"), "AttributeError", 14),
    "no fills": (BROKER.replace("return no_fills()", "return None"), "fills as NoneType", 10),
    "positions of another shape": (BROKER.replace(".quantity", ".quantity[:1]"), r"positions of shape \(1,\)", 10),
    "cash that is no number": (BROKER.replace(".cash_usd", ".symbols"), "TypeError", 10),
}


@pytest.mark.parametrize("case", BROKER_FAULTS.values(), ids=BROKER_FAULTS)
def test_a_broker_that_breaks_its_port_is_refused_before_it_trades(tmp_path: Path, case: tuple[str, str, int]) -> None:
    text, message, line = case
    strategy = naming(written(tmp_path, mine=text), execution="{broker: mine}")
    with pytest.raises(PluginError, match=message) as refused:
        prepare(strategy)
    where = refused.value.where
    assert (where["broker"], where["key"], where["file"]) == ("mine", "execution.broker", str(tmp_path / "mine.py"))
    assert where["line"] == line


def test_a_broker_that_keeps_its_port_is_taken_and_no_order_is_sent_for_it(tmp_path: Path) -> None:
    prepare(naming(written(tmp_path, mine=BROKER), execution="{broker: mine}"))


VENUE = """from nn_assets.execution.venues import register_venue


@register_venue("mine")
class Mine:
    def __init__(self, account):
        self.account = account

    def send(self, order):
        raise RuntimeError("an order was sent")

    cancel = orders = fills = positions = cash = send
"""
VENUE_FAULTS = {
    "an error as it opens": (VENUE.replace("= account\n", "= account.name\n"), "AttributeError: .*'name'", 7),
    "no method cash": (VENUE.replace("= cash = send", "= send"), "without cash", 6),
}


@pytest.mark.parametrize("case", VENUE_FAULTS.values(), ids=VENUE_FAULTS)
def test_a_venue_that_breaks_its_port_is_refused_before_anything_is_sent(
    tmp_path: Path, case: tuple[str, str, int]
) -> None:
    text, message, line = case
    with pytest.raises(PluginError, match=message) as refused:
        prepare(naming(written(tmp_path, mine=text), execution="{broker: mine, account: main}"))
    where = refused.value.where
    assert (where["venue"], where["file"], where["line"]) == ("mine", str(tmp_path / "mine.py"), line)


def test_a_venue_that_keeps_its_port_is_taken_and_nothing_is_sent_or_asked(tmp_path: Path) -> None:
    prepare(naming(written(tmp_path, mine=VENUE), execution="{broker: mine, account: main}"))


COMPUTE = (
    "from contextlib import contextmanager\nfrom nn_assets.learning.compute import HERE, register_compute\n"
    "@register_compute('mine')\n{}def mine(at_once):\n    {}\n"
)


def test_a_compute_that_is_no_context_is_refused_before_and_one_without_map_as_it_is_opened(tmp_path: Path) -> None:
    strategy = naming(written(tmp_path, mine=COMPUTE.format("", "return 5")), learning="{compute: mine}")
    with pytest.raises(PluginError, match="5 was given, where a context manager") as refused:
        prepare(strategy)
    assert refused.value.where["file"] == str(tmp_path / "mine.py")
    for body, message in (("yield 5", "5 was given, where something with map"), ("yield HERE.pool", "AttributeError")):
        (tmp_path / "mine.py").write_text(COMPUTE.format("@contextmanager\n", body))
        prepare(strategy)
        with pytest.raises(PluginError, match=message) as refused, open_compute("mine", 2):
            pass
        assert (refused.value.where["compute"], refused.value.where["file"]) == ("mine", str(tmp_path / "mine.py"))
    (tmp_path / "mine.py").write_text(COMPUTE.format("@contextmanager\n", "yield HERE"))
    prepare(strategy)
    with open_compute("mine", 2) as compute:
        assert list(compute.map(abs, [-1, 2])) == [1, 2]
