"""One page about a workspace, and pictures of what its targets are made of."""
