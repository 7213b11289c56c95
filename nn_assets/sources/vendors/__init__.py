"""Vendors and exchanges, one module each, named as the kind that strategies state; its ``SOURCE`` is the member."""
