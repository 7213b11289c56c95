"""Signals made into positions: Kelly, limits, breakers, controls, and the trace of each step.

Takes signals, state and settings. Gives target positions with the reason for each size.
Never sends an order.
"""
