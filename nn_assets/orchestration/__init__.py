"""Dagster: assets, checks, partitions, schedules, sensors, IO managers.

Takes stores and settings. Each asset asks operations for one thing, and shows what came of it.
Never computes what the domain could.
"""
