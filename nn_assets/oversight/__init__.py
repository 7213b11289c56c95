"""Drift, severity and the trading state.

Takes what was forecast and what came. Gives statistics, scores and the state for the next decision.
Never waits for a person to reduce risk; never raises it without one.
"""
