"""Cargo's own settings as cargo composes them: profiles, flags, and what in them does not do what it says.

Knows Cargo's rules and no target, plan or command line of ours.
"""
