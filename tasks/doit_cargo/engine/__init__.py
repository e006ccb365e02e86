"""How targets run, in nine packages. Each imports only from those before it."""

PACKAGES = ("base", "state", "toolchain", "cargo", "console", "plan", "preflight", "hints", "execution")
