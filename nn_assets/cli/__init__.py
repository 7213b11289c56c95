"""``nn-assets``: the command line.

Takes words from a terminal. Gives answers as text or as one JSON document, and an exit status. Never decides
anything itself: it drives operations, and Dagster's jobs through orchestration.
"""

from nn_assets.cli import commands as commands
from nn_assets.cli.app import app, main

__all__ = ["app", "main"]
