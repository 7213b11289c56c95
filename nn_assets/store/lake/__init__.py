"""Columnar files: versions in segments, publications, features, forecasts and models.

What is derived can be rebuilt; versions of facts and publications cannot.
"""
