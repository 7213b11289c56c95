"""Bars as facts: calendars, bitemporal versions, cleaning, the gate, aligned panels.

Takes frames of bars and settings. Gives clean bars, quarantine, verdicts, panels.
Never reads a file, a clock or a network.
"""
