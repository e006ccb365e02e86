"""Processes: asked for an answer, guarded, in a group of their own, and the streams between them and us."""
