"""A mutation run: 600 small faults put into the rooms where money is decided, and whether a test fails for each.

``python -m tests.mutation`` runs what is missing and goes on where it stopped; results are kept in ``results``.
"""
