"""From a target, its profile and the workspace to a plan: everything decided and rendered, nothing run."""
