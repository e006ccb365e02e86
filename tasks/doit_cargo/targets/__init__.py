"""What can be run: one module a family, rows only, and the catalogue that picks those that exist here."""
