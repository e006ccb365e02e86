"""What the crates of a plan need from the system, inferred from what cargo resolves, and whether it is there."""
