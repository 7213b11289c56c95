"""When markets trade: timetables, sessions, and hours within a session."""
