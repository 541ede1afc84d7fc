"""A hook of MkDocs: what the pages link to outside docs/ is no part of the site, and is named there instead."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)#\s]+)[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """``[text](../examples/study.py)`` becomes ``text (examples/study.py)``, or the name alone."""
    return _OUTSIDE.sub(_named, markdown)


def _named(match: re.Match[str]) -> str:
    text, name = match[1], re.sub(r"^(\.\./)+", "", match[2])
    return f"`{name}`" if text.strip("`") in name else f"{text} (`{name}`)"
