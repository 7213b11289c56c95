"""Bars and corporate actions as facts: calendars, bitemporal versions, cleaning, the gate, adjusted panels.

Other series, membership of a universe and intraday bars are facts of the same kind.

Takes frames of bars, actions and settings. Gives clean bars, quarantine, verdicts, suspicions, panels.
Never reads a clock, a network, or a file that does not ship with it.
"""
