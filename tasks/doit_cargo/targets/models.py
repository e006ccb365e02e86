"""The models family: rows only. What they do is in actions/models; which models are recommended, in the packs."""

from __future__ import annotations

from functools import partial

from doit_cargo.engine.base.model import MODELS, Target

_ACTIONS = "doit_cargo.actions.models"
_row = partial(Target, family="models", packs=("mistralrs",), pool=MODELS)

TARGETS: tuple[Target, ...] = (
    _row(
        name="download_models",
        doc="Download the recommended models, or those that MODEL names, from the Hugging Face hub, and verify them.",
        action=f"{_ACTIONS}.hub:download",
        check=f"{_ACTIONS}.hub:require",
        takes=("MODEL", "MODEL_DIR"),
    ),
    _row(
        name="model_inventory",
        doc="Read the heads of all model files and write MODEL_INVENTORY.json: architecture, quantisation, size, sum.",
        action=f"{_ACTIONS}.inventory:write",
        check=f"{_ACTIONS}.inventory:require_folder",
        watch=f"{_ACTIONS}.inventory:watch",
        takes=("MODEL_DIR", "FORCE"),
    ),
    _row(
        name="check_models",
        doc="Check that the models of the inventory are on disk, whole and unchanged.",
        action=f"{_ACTIONS}.checks:check",
        check=f"{_ACTIONS}.checks:require_inventory",
        takes=("MODEL_DIR",),
    ),
)
