"""The admin of the notes that stand under charts."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from fintrack.merging import MergingAdmin

from .models import Note


@admin.register(Note)
class NoteAdmin(MergingAdmin):
    actions_on_bottom = True  # otherwise Django writes an inline style, which our CSP forbids
    list_display = ("day", "text")
    date_hierarchy = "day"
    ordering = ("-day", "-pk")
    search_fields = ("text",)
    search_help_text = _("A part of the text.")
    show_facets = admin.ShowFacets.NEVER
