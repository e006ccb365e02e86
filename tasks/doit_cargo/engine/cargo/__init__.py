"""Cargo as it is: metadata, messages, the lock, where it looks for files, how it resolves features and settings."""

# Part of what is kept of cargo's facts: a change of their shape makes old ones unreadable on purpose.
FORMAT = 5
