"""doit-cargo: make targets for large Cargo workspaces, declared once, checked, skipped with proof.

The folder ``tasks/`` is the import package ``doit_cargo``. This module stays empty but for the version: the
launcher imports it on every call.
"""

__version__ = "0.1.0"
# Where the templates and the data of this package lie.
DIRECTORY = __path__[0]
