"""Moving here from an older build file: it is recorded, taken over where that is proven, and kept elsewhere.

Nothing here runs on a skip or for a target. No build file is parsed for what it does: it is run, in a copy that cannot
reach anything, with programs that write down how they are called.
"""
