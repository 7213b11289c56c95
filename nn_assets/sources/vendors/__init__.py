"""Vendors and exchanges, one module each, over one transport."""
