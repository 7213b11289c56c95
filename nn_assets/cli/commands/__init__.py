"""The commands, each with the words that it takes: importing its file registers it.

What a command needs is imported within functions, when it is given, so that help and a wrong call answer at once.
"""

from nn_assets.cli.commands import accounts as accounts
from nn_assets.cli.commands import assess as assess
from nn_assets.cli.commands import capacity as capacity
from nn_assets.cli.commands import computing as computing
from nn_assets.cli.commands import costs as costs
from nn_assets.cli.commands import explain as explain
from nn_assets.cli.commands import oversight as oversight
from nn_assets.cli.commands import replay as replay
from nn_assets.cli.commands import shift_test as shift_test
from nn_assets.cli.commands import tables as tables
