"""Drift, severity and the trading state.

Takes what was forecast and what happened. Gives statistics, scores and the state for the next decision.
Never waits for a person to reduce risk, and restores it only step by step, after a cooldown.
"""
