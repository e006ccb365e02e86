"""Cargo as it is: metadata, messages, the lock, where it looks for files, how it resolves features and settings."""
