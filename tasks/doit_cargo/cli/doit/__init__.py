"""doit's side of the command line: dodo.py, the bridge to doit's tasks, its commands, and parallel runs."""
