"""All that is said while something runs: one aligned line a fact, the terminal's last line, whole lines of each run."""
