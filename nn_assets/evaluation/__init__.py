"""Replay of the daily round, walk-forward figures, deflated measures, verdicts.

Takes forecasts, bars and settings. Gives records, figures and verdicts.
Never uses another decision function than the live one.
"""
