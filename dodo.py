"""The targets of doit-cargo's own scale model of mistral.rs: `doit list`, then `doit build_cuda_full`.

For your own workspace write the same two lines beside its Cargo.toml, or use `doit-cargo`, which needs no file.
"""

from doit_cargo.api import DOIT_CONFIG, targets_of  # noqa: F401 - doit reads DOIT_CONFIG

targets = targets_of("examples/mistralrs")
