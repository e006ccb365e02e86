"""How targets run. Modules import in one direction only; docs/design.md shows the order."""
