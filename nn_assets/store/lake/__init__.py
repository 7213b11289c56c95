"""Columnar files: versions in segments, publications, features, forecasts and models. All of it can be rebuilt."""
