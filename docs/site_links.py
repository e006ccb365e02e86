"""For `mkdocs build`: a link that leads out of the documentation, to a file of the repository, becomes its text.

The same pages are read in the repository, where such links lead somewhere.
"""

from __future__ import annotations

import os
import re
from typing import Any

LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page without links that leave the documentation."""
    folder = os.path.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        leaves = os.path.normpath(os.path.join(folder, link[2].partition("#")[0])).startswith("..")
        return link[1] if leaves else link[0]

    return LINK.sub(shown, markdown)
