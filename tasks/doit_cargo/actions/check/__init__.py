"""Targets that check the sources: formatting, lints, documentation, and services that must be running."""
