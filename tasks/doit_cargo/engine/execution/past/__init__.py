"""What past builds took, unit by unit, and what the next one will take."""
