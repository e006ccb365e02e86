"""The packs of feature profiles; data only. See docs/profiles.md."""
