"""Bars as facts: calendars, bitemporal versions, cleaning, the gate, aligned panels.

Other series, membership of a universe and intraday bars are facts of the same kind.

Takes frames of bars and settings. Gives clean bars, quarantine, verdicts, panels.
Never reads a file, a clock or a network.
"""
