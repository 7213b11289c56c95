"""Stationary features, their stationarity gate, scaling, selection and labels.

Takes panels. Gives (bar, symbol, feature) cubes, float64, and labels.
Never fits anything on rows it was not told to fit on.
"""
