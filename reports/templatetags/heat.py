"""Heat cells: the background of a table's cell tells its percentage, on a fixed scale from 0 to 100.

The style sheet sets the colours.
"""

from decimal import Decimal
from typing import Any

from django import template
from django.utils.translation import gettext as _

register = template.Library()

LAST = 10  # the step of 100 % and more


@register.filter
def heat(share: Decimal | None) -> str:
    """Returns the CSS class of a percentage's step of ten: heat-0 to heat-10, or nothing for None."""
    return "" if share is None else f"heat-{min(max(int(share // 10), 0), LAST)}"


@register.inclusion_tag("charts/heat_legend.html")
def heat_legend() -> dict[str, Any]:
    """Draws the steps of the scale, each with its colour and text."""
    steps = [{"name": f"heat-{step}", "text": f"{step * 10}–{step * 10 + 10}\u202f%"} for step in range(LAST)]
    top = _("{percent} and more").format(percent=f"{LAST * 10}\u202f%")
    return {"steps": [*steps, {"name": f"heat-{LAST}", "text": top}]}
