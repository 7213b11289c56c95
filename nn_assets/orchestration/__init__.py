"""Dagster: assets, checks, partitions, schedules, sensors, IO managers.

Takes stores and settings. Each asset asks operations for one thing, and shows the plain figures that come of it
(``metadata``). Never computes what the domain could, never words what an operator reads.
"""
