"""The driver of accounts at venues: what it commits, sends, asks, compares, and has a person accept.

Takes the orders that rounds decided, and a venue. Gives rows of the ledger: what was sent, what became of it, fills by
book, and whether account and books agree. Never sends what is not on record, nor anything twice; never guesses.
"""
