"""Targets that keep house: folders, logs, cleaning, and what this workspace and machine are."""
