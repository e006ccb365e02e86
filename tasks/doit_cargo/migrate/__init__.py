"""Taking over from what a project has: reading its Makefile, comparing, and writing the files to begin with.

Nothing here runs on a skip or for a target. An old Makefile is read through make itself and nothing of it is run.
"""
