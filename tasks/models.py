"""The models family: rows only. What they do is in actions/models; which models are recommended, in the packs."""

from __future__ import annotations

from doit_cargo.engine.model import Target

_ACTIONS = "doit_cargo.actions.models"
_PACKS = ("mistralrs",)

TARGETS: tuple[Target, ...] = (
    Target(
        name="download_models",
        packs=_PACKS,
        family="models",
        doc="Download the recommended models, or those that MODEL names, from the Hugging Face hub, and verify them.",
        action=f"{_ACTIONS}.hub:download",
        check=f"{_ACTIONS}.hub:require",
        takes=("MODEL", "MODEL_DIR"),
    ),
    Target(
        name="model_inventory",
        packs=_PACKS,
        family="models",
        doc="Read the heads of all model files and write MODEL_INVENTORY.json: architecture, quantisation, size, sum.",
        action=f"{_ACTIONS}.inventory:write",
        check=f"{_ACTIONS}.inventory:require_folder",
        watch=f"{_ACTIONS}.inventory:watch",
        takes=("MODEL_DIR", "FORCE"),
    ),
    Target(
        name="check_models",
        packs=_PACKS,
        family="models",
        doc="Check that the models of the inventory are on disk, whole and unchanged.",
        action=f"{_ACTIONS}.checks:check",
        check=f"{_ACTIONS}.checks:require_inventory",
        takes=("MODEL_DIR",),
    ),
)
