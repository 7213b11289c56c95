"""Facts with versions: bars, splits and dividends, other series, membership of a universe, bars within a session.

Each version says when it could be acted on and when it was stored; what was known at a moment is computed here.
"""
