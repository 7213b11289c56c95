"""Markets with and without a planted edge, for proof and demonstration.

Takes a seed and settings. Gives bars and the truth behind them.
Never lends its truth to a strategy.
"""
