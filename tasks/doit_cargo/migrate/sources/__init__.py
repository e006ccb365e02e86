"""The kinds of build file, each read by its own tool inside the box."""
