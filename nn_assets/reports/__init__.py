"""Figures and pages that people look at: plots, the tear sheet, the daily report.

Takes frames and figures. Gives PNG bytes and HTML text.
Never computes a result of its own.
"""
