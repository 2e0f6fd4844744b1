"""Pictures as HTML, for notebooks, their widgets and their exported pages alike."""

from __future__ import annotations

import html


def html_image(code: str, alt: str, style: str = "") -> str:
    """A picture that the page itself holds, with its alt text.

    code: the PNG in base64. style: CSS of the image.
    """
    source = f"data:image/png;base64,{code}"
    styled = f' style="{style}"' if style else ""
    return f'<img src="{source}" alt="{html.escape(alt)}"{styled}>'
