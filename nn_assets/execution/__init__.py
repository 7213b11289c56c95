"""Targets made into orders, the pre-trade gate, and the paper broker.

Takes targets and bars. Gives orders and fills.
Never lets an order pass the gate unexamined.
"""
