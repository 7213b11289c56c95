"""The one cost object, its calibration from fills, and implementation shortfall.

Takes orders, volumes and volatilities. Gives fractions of the traded value.
Never changes the model in force by itself.
"""
