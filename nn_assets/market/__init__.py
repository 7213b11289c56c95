"""Bars and corporate actions as facts: calendars, bitemporal versions, cleaning, the gate, adjusted panels.

Other series, membership of a universe and intraday bars are facts of the same kind.

Takes frames of bars, actions and settings. Gives clean bars, quarantine, verdicts, suspicions, panels.
Reads no file but those that ship with it, and no clock or network.
"""
