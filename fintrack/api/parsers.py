"""A JSON parser with a size limit and exact numbers, which reports every fault."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _
from rest_framework.parsers import JSONParser as DRFJSONParser

from .problems import MAX_JSON, Refused, TooLarge, excerpt, pointer_to


class JSONParser(DRFJSONParser):
    """Like DRF's, but with a size limit, and with Decimal instead of float: amounts are always exact."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        if int(parser_context["request"].META.get("CONTENT_LENGTH") or 0) > MAX_JSON:
            raise TooLarge
        try:
            text = stream.read().decode()
            data = json.loads(
                text,
                parse_int=lambda digits: self.number(int, digits),
                parse_float=lambda digits: self.number(Decimal, digits),
                parse_constant=self.no_constant,
                object_pairs_hook=self.members,
            )
            faults = list(self.faults(data))
        except (ValueError, RecursionError) as error:
            expected: Any = _("JSON in UTF-8")
            if isinstance(error, json.JSONDecodeError):
                place = {"line": error.lineno, "column": error.colno}
                expected = _("JSON in UTF-8 at line %(line)d, column %(column)d") % place
            faults = [{"pointer": "", "found": None, "expected": expected, "code": "parse_error"}]
        if faults:
            raise Refused(_("Check the body of the request."), faults)
        return data

    @staticmethod
    def number(kind: type, digits: str) -> Any:
        try:
            return kind(digits)
        except (ValueError, ArithmeticError):
            return Misfit(digits, _("a number in the supported range"), "invalid")

    @staticmethod
    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    @staticmethod
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            for name, times in Counter(name for name, _value in pairs).items():
                if times > 1:
                    members[name] = Misfit(None, _("a name that occurs only once in its object"), "repeated")
        return members

    def faults(self, data: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
        """Yields a fault for each value, at any depth, that Python can't represent."""
        if isinstance(data, Misfit):
            yield {
                "pointer": pointer,
                "found": excerpt(data.text),
                "expected": data.expected,
                "code": data.code,
            }
        elif isinstance(data, str) and readable(data) != data:
            misfit = Misfit(readable(data), _("text in Unicode"), "invalid")
            yield from self.faults(misfit, pointer)
        elif isinstance(data, dict):
            for name, value in data.items():
                inner = pointer_to(pointer, readable(name))
                if readable(name) != name:
                    yield from self.faults(Misfit(readable(name), _("text in Unicode"), "invalid"), inner)
                yield from self.faults(value, inner)
        elif isinstance(data, list):
            for index, value in enumerate(data):
                yield from self.faults(value, f"{pointer}/{index}")


class Misfit(NamedTuple):
    """Stands in for a JSON value that Python can't represent."""

    text: str | None
    expected: Any
    code: str


def readable(text: str) -> str:
    """Returns the text with lone surrogates, which aren't characters, as escapes."""
    return text.encode(errors="backslashreplace").decode()
