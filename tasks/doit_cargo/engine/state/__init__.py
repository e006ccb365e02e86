"""What is kept between calls, and whether it still holds: receipts, locks, fingerprints, staleness."""
