"""Targets about cargo's own settings: what profiles come to, their mend, and whether a build really got them."""
