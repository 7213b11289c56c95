"""What is stored, as it was known at a moment: bars and actions, series, membership, models, costs, studies, controls.

Takes frames of versions and the ledger. Gives frames, arrays and rows cut at a session. Nothing is written here.
"""
