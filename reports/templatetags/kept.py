"""The tag `kept`: renders a piece of a page once for all readers, since it depends only on the answer."""

from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.utils.safestring import mark_safe

register = template.Library()


class KeptNode(template.Node):
    def __init__(self, name: FilterExpression, nodes: NodeList) -> None:
        self.name, self.nodelist = name, nodes

    def render(self, context: Any) -> str:
        pieces = context.get("pieces")
        if pieces is None:  # a page without an answer
            return self.nodelist.render(context)
        name = self.name.resolve(context)
        if name not in pieces:
            pieces[name] = self.nodelist.render(context)
        return mark_safe(pieces[name])  # noqa: S308  # the template has escaped it


@register.tag
def kept(parser: Parser, token: Token) -> KeptNode:
    """{% kept "name" %} … {% endkept %}: the content must not depend on the reader or the request."""
    _tag, name = token.split_contents()
    nodes = parser.parse(["endkept"])
    parser.delete_first_token()
    return KeptNode(parser.compile_filter(name), nodes)
