"""Dagster: assets, checks, partitions, schedules, sensors, IO managers.

Takes stores and settings. Each asset loads, calls one domain function, stores, reports.
Never computes what the domain could.
"""
