"""What the targets of the cache family do: `sccache` acts on the program and its server, `proof` tries them out."""
