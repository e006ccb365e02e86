"""What a run depended on and what cargo has seen: taken before and after it, so that the next skip is a proof."""
