"""One target from `is there anything to do?` to its receipt: inputs, cargo's run, what it has seen, the proof."""
