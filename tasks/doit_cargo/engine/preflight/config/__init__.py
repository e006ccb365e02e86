"""What in cargo's settings does not do what it says, and its mend."""
