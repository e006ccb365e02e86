"""What the targets of the python family do: `crates` finds what maturin builds, `wheel` builds it, `use` tries it."""
