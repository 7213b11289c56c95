"""Days: a session decided from what was known, the state it leaves, and the proof that it could not look ahead."""
