"""Tests, by room."""

import gc

gc.disable()  # Until everything is imported: the conftest looks for garbage again from the end of collection on.
