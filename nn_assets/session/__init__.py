"""What one session is made of: its market, its fills' costs, the watch for drift, and the round that plays it.

Takes arrays, settings and the state left by the session before. Gives the records of a session and the state for
the next. Never reads a clock, a file or a later session.
"""
