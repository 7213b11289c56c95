"""The search of hyper-parameters: which configuration is in force from a month on, by what was known before it.

Takes a history, and the budget and ranges that the strategy's section ``search`` states. Gives trials and choices on
the ledger. Never decides what a month uses: models are fitted with the choice in force, read by ``asof/choices``.

``choosing`` is the door: the searches of some months, their trials and choices put on record. ``budget`` spends the
trials of one search, batch after batch. ``judging`` says what a search may see, and what a trial was worth on it.
``sampling`` is Optuna's part: what is drawn next, what is given up, and a file to look on.
"""
