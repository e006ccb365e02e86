"""Targets about dependencies: the lock as a tree, duplicates, updates, advisories and licences."""
