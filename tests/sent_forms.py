"""Reads the values that a browser would send from a page's form."""

from html.parser import HTMLParser
from typing import Any


class FormParser(HTMLParser):
    """Collects the values of each form of a page, by name, in `forms`, without buttons and template rows."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = dict(attrs)
        name, value = got.get("name") or "", got.get("value") or ""
        if tag == "form":
            self.forms.append({})
        if not self.forms or "__prefix__" in name:
            self.select = ""
        elif tag == "input" and name and got.get("type") not in ("submit", "button", "file"):
            if got.get("type") not in ("checkbox", "radio"):
                self.forms[-1][name] = value
            elif "checked" in got:
                self.forms[-1].setdefault(name, []).append(got.get("value") or "on")
        elif tag == "select":
            self.select = name
            self.is_single = "multiple" not in got
        elif tag == "option" and self.select:
            first = self.is_single and self.select not in self.forms[-1]
            if first or "selected" in got:
                self.forms[-1][self.select] = value


def sent_back(page: str) -> dict[str, Any]:
    """Returns the values that the page's last form sends if nothing is changed."""
    parser = FormParser()
    parser.feed(page)
    return parser.forms[-1]
