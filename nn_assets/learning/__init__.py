"""Folds, windows, networks, training, baselines, calibration, and what a model is on disk.

Takes feature cubes, labels and folds. Gives fitted models and forecasts. The only home of torch.
Never sees a row whose label span touches what it is judged on.
"""
