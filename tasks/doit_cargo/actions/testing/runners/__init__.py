"""Who runs test programs: libtest itself or nextest, which of them counts, and what JUnit is told."""
