"""Forecasts made into signals: probability, direction, expected return, confidence.

Takes forecasts and outcomes realised before the session. Gives signals.
Never says how large a position should be.
"""
