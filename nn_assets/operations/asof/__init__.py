"""What is stored, as it was known at a moment: bars and actions, series, membership, models, costs, studies, controls.

Takes frames of versions and the ledger. Gives frames, arrays and rows cut at a session. Written are records that are
read back here in the same form, and nothing else: what the gate said (``halts``), what drift asked for and what came of
it (``refreshes``), and mends of the clock (``wrong_clock``).
"""
