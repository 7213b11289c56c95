"""What is stored, as it was known at a moment: versions of actions, series and membership, and what was decided.

Takes the stores. Gives frames and arrays, read once for every session of a run. Nothing is written here.
"""
