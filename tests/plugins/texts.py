"""Files that a person might write, and strategies that name them."""

from __future__ import annotations

from pathlib import Path

from nn_assets.settings import Strategy, load_strategy

FEATURES = '''
"""Features of my own."""

import numpy as np

from nn_assets.features.catalogue import register_feature
from nn_assets.features.rolling import lagged, rolling_mean


def _mean(panel, bars):
    return rolling_mean(panel.close, bars)


@register_feature("overnight_gap", reach_sessions=1, fields=("open", "close"), formula="O / C[t-1] - 1")
def overnight_gap(panel, context):
    return panel.open / lagged(panel.close, 1) - 1.0


@register_feature("over_mean_10", reach_sessions=9)
def over_mean_10(panel, context):
    return panel.close / _mean(panel, 10) - 1.0
'''

NETWORK = '''
import torch

from nn_assets.learning.networks import register_network
from nn_assets.settings.section import Section


class Settings(Section):
    width: int = 5


class Shallow(torch.nn.Module):
    """One layer."""

    def __init__(self, inputs, width):
        super().__init__()
        self.body = torch.nn.Linear(inputs, width)
        self.head = torch.nn.Linear(width, 1)

    def forward(self, windows):
        return self.head(torch.tanh(self.body(windows.flatten(start_dim=1)))).squeeze(-1)


@register_network("shallow", settings=Settings)
def shallow(learning, features, own):
    return Shallow(learning.lookback * features, own.width)
'''


def feature_file(body: str, **options: object) -> str:
    """A file of one feature, ``mine``, whose function has some body; two bars by default."""
    arguments = {"reach_sessions": 1, **options}
    return (
        "import numpy as np\nimport pandas as pd\nfrom nn_assets.features.catalogue import register_feature\n"
        "from nn_assets.features.rolling import lagged\n\n"
        f"@register_feature('mine', {', '.join(f'{name}={value!r}' for name, value in arguments.items())})\n"
        f"def mine(panel, context):\n    {body}\n"
    )


def network_file(forward: str, layers: str = "self.head = torch.nn.Linear(features, 1)") -> str:
    """A file of one network, ``mine``."""
    return (
        "import torch\nfrom nn_assets.learning.networks import register_network\n\n\n"
        "class Mine(torch.nn.Module):\n"
        f"    def __init__(self, features):\n        super().__init__()\n        {layers}\n\n"
        f"    def forward(self, windows):\n        {forward}\n\n\n"
        "@register_network('mine')\ndef mine(learning, features):\n    return Mine(features)\n"
    )


def written(folder: Path, **files: str) -> Path:
    """A strategy that names some files, each by its stem and its text."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in files.items():
        (folder / f"{stem}.py").write_text(text)
    named = ", ".join(f"{stem}.py" for stem in files)
    file = folder / "mine.yaml"
    file.write_text(f"name: mine\nmarket:\n  history_starts: 2016-01-04\nplugins: [{named}]\n")
    return file


def naming(file: Path, **sections: str) -> Strategy:
    """The strategy of a file after sections were added to it."""
    lines = [f"{name}: {text}" for name, text in sections.items()]
    file.write_text(file.read_text() + "\n".join(lines) + "\n")
    return load_strategy(file)


CONSTRAINT = """
import numpy as np

from nn_assets.portfolio.own_limits import register_constraint
from nn_assets.settings.section import Section


class Settings(Section):
    symbols: tuple[str, ...] = ()
    limit: float = 0.1


@register_constraint("together", settings=Settings)
def together(facts, settings):
    return np.array([float(each in settings.symbols) for each in facts.symbols]), settings.limit
"""


def constraint_file(body: str, arguments: str = "'mine'") -> str:
    """A file of one constraint, ``mine``."""
    return (
        "import numpy as np\nfrom nn_assets.portfolio.own_limits import register_constraint\n\n\n"
        f"@register_constraint({arguments})\ndef mine(facts):\n    {body}\n"
    )


LABEL = """
from nn_assets.features.labels import forward_returns, register_label
from nn_assets.settings.section import Section


class Settings(Section):
    hurdle_fraction: float = 0.001


@register_label("over_costs", relative=False, settings=Settings)
def over_costs(panel, label, facts, settings):
    return forward_returns(panel, label) - settings.hurdle_fraction
"""


def label_file(body: str, arguments: str = "'mine', relative=False") -> str:
    """A file of one label, ``mine``."""
    return (
        "import numpy as np\nimport pandas as pd\n"
        "from nn_assets.features.labels import forward_returns, register_label\n\n\n"
        f"@register_label({arguments})\ndef mine(panel, label, facts):\n    {body}\n"
    )
