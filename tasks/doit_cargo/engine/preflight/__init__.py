"""What a plan needs from this computer, checked before cargo starts, so that a long build does not fail late."""
