"""TOML with the place where each key stands, for messages that name file and line."""
