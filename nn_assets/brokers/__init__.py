"""Accounts at venues: members of the port ``execution/venue.py`` that speak to a broker, or to a desk's own system.

Takes orders, ids and moments. Gives what the venue says: orders, fills, positions, cash.
Never decides, never keeps what the venue would not say again, and never sends a request twice that may have arrived.
"""
