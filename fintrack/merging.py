"""Forms that several people may edit at the same time, or that one person may submit twice.

A form stores only the fields that its editor changed, so other people's changes to other fields are kept. If
two people changed the same field to different values, nothing is stored, and the form says who changed what.
"""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Protocol
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.messages.storage import default_storage
from django.db import IntegrityError, OperationalError, connection, models, transaction
from django.forms.formsets import DELETION_FIELD_NAME
from django.forms.models import InlineForeignKeyField
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext_lazy as _

from .models import IdempotencyKey

DEADLOCK = 1213
SENT_TWICE = _("This form was sent twice; it was stored once.")


class Record(Protocol):
    """A record of a trail: which account made a change, via which address or command, and when."""

    account: Any
    via: str
    moment: Any


def who_and_when(record: Record | None) -> str:
    """Returns the account (or address or command) and the time of a record, as text."""
    if record is None:
        return str(_("somebody"))
    moment = date_format(timezone.localtime(record.moment), "SHORT_DATETIME_FORMAT")
    return f"{record.account or record.via} ({moment})"


class MergingForm(forms.BaseForm):
    """A form with two sets of initial values: the current ones, and hidden ones that its editor was shown.

    moved: for each field that others have changed since, a sentence that says so.
    clashes: the names of those fields that the editor changed to a different value.
    """

    data: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.moved: dict[str, str] = {}
        self.clashes: list[str] = []

    def last_change(self, name: str) -> Record | None:
        """Returns the record of the latest change of the field, if there is one."""
        return None

    def merge(self) -> None:
        """Merges other people's changes. The fields and initial values must be set, and the row locked.

        A request without hidden values (no browser sends one) is compared with the current values.
        """
        shown = not self.is_bound or any(self.add_initial_prefix(name) in self.data for name in self.fields)
        for name, field in self.fields.items():
            field.show_hidden_initial = shown and not field.disabled
            if self.is_bound and field.show_hidden_initial:
                self.merge_field(name)

    def merge_field(self, name: str) -> None:
        bound: Any = self[name]
        field, hidden = bound.field, bound.field.hidden_widget()
        seen = hidden.value_from_datadict(self.data, self.files, bound.html_initial_name)
        if not field.has_changed(bound.initial, seen):
            return
        now = hidden.format_value(field.prepare_value(bound.initial))
        change = _("“%(label)s” was changed from %(seen)s to %(now)s meanwhile by %(who)s.")
        self.moved[name] = change % {
            "who": who_and_when(self.last_change(name)),
            "label": field.label,
            "seen": in_words(field, seen),
            "now": in_words(field, now),
        }
        if not bound._has_changed():
            self.data = self.data.copy()
            for each in (bound.html_name, bound.html_initial_name):
                self.data.setlist(each, now if isinstance(now, list) else ["" if now is None else now])
        elif field.has_changed(bound.initial, bound.data):
            self.clashes.append(name)

    def clean(self) -> Any:
        cleaned: Any = super().clean()
        for name in self.clashes:
            self.add_error(name, _("%s Load the page again.") % self.moved[name])
        return cleaned


def in_words(field: forms.Field, raw: Any) -> str:
    """Formats a raw form value for people."""
    try:
        value = field.to_python(raw)
    except forms.ValidationError:
        value = raw
    if value in field.empty_values:
        return str(_("empty"))
    if isinstance(value, Decimal):
        return number_format(value, force_grouping=True)
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    shown = getattr(field, "label_from_instance", str)  # rows to choose from have labels of their own
    return ", ".join(map(shown, value)) if isinstance(value, list | models.QuerySet) else shown(value)


class MergingModelForm(MergingForm, forms.ModelForm):
    """A merging form of one row, which must be locked when the form is submitted. New rows aren't merged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_gone = self.instance.pk is not None and self.instance._state.adding
        if self.instance.pk is not None and not self.is_gone:
            self.merge()

    def row(self) -> str:
        return f"{self.instance._meta.verbose_name} {self.instance}"

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.moved and self.cleaned_data.pop(DELETION_FIELD_NAME, False):
            for change in self.moved.values():
                self.add_error(None, _("%s Load the page again before you delete.") % change)
        return cleaned

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_gone and self.is_bound:
            self._errors: Any
            self._errors.clear()
            is_elsewhere = type(self.instance)._base_manager.filter(pk=self.instance.pk).exists()
            if not self.cleaned_data.pop(DELETION_FIELD_NAME, False) or is_elsewhere:
                who = who_and_when(self.last_change(self.parent_field()))
                text = _("Deleted meanwhile by %(who)s: %(row)s. Load the page again.")
                if is_elsewhere:
                    text = _("Moved elsewhere meanwhile by %(who)s: %(row)s. Load the page again.")
                self.add_error(None, text % {"who": who, "row": self.row()})

    def parent_field(self) -> str:
        """Returns the name of the field that refers to the object that an inline row belongs to."""
        fields = self.fields.items()
        return next(name for name, field in fields if isinstance(field, InlineForeignKeyField))


class MergingRows(forms.BaseInlineFormSet):
    """The inline rows of an object. A submitted form has the rows that were shown, none added since."""

    model: type[models.Model]
    most = 1000  # only the latest rows are shown
    may_change = True

    def get_queryset(self) -> Any:
        if not hasattr(self, "_shown"):
            rows = super().get_queryset()
            if self.is_bound:
                self._shown = self.sent_back(rows)
            else:
                self._shown = list(rows.order_by("-pk")[: self.most])[::-1] if self.instance.pk else []
        return self._shown

    def sent_back(self, rows: models.QuerySet[Any]) -> list[Any]:
        """Returns the submitted rows in the form's order. A row deleted since has only its primary key."""
        number = min(self.initial_form_count(), self.total_form_count())
        name = self.model._meta.pk.name
        texts = [self.data.get(f"{self.add_prefix(place)}-{name}", "") for place in range(number)]
        pks = [int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None for text in texts]
        if self.may_change:
            rows = rows.select_related(None).select_for_update()
        found = {row.pk: row for row in rows.filter(pk__in=[pk for pk in pks if pk])}
        return [found.get(pk) or self.model(pk=pk) for pk in pks]


class NotStored(Exception):
    """Nothing was stored: the form has errors. The user may correct and send it again."""

    def __init__(self, shown: Any) -> None:
        self.shown = shown


def stored_once(
    request: HttpRequest, store: Callable[[], Any], writing: Callable[[], Any] = transaction.atomic
) -> tuple[Any, bool]:
    """Calls store() once for each form. Returns the result, and whether the form was sent before.

    store() may raise NotStored. It is retried once after a deadlock or a conflict with another writer.
    """
    sent = {name: values for name, values in request.POST.lists() if not name.startswith(("_", "csrf"))}
    sent.setdefault("once", [uuid4().hex])
    for is_last in (False, True):
        try:
            with writing():
                return IdempotencyKey.once(request.user, json.dumps([request.path, sent]), None, store)
        except (IntegrityError, OperationalError) as error:
            if is_last or (isinstance(error, OperationalError) and error.args[:1] != (DEADLOCK,)):
                raise
            request._messages = default_storage(request)  # type: ignore[attr-defined]  # drop messages of the failed try
    raise AssertionError


def once(request: HttpRequest) -> str:
    """Returns the one-time key of a form: the submitted one, or a new one."""
    return request.POST.get("once") or uuid4().hex


class MergingAdmin(admin.ModelAdmin):
    """An admin whose forms merge concurrent changes and are stored once."""

    form: type[forms.ModelForm] = MergingModelForm
    writing: Any = staticmethod(transaction.atomic)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Returns the row, locked if a form is being submitted."""
        row = super().get_object(request, object_id, from_field)
        if row is not None and request.method == "POST" and connection.in_atomic_block:
            try:
                row.refresh_from_db(from_queryset=self.model._base_manager.select_for_update())
            except self.model.DoesNotExist:
                return None
        return row

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = {"once": once(request)} | (extra_context or {})
        view = super().changeform_view
        if request.method != "POST":
            return view(request, object_id, form_url, context)
        response: HttpResponseBase

        def store() -> Any:
            nonlocal response
            request.stored = None  # type: ignore[attr-defined]
            response = view(request, object_id, form_url, context)
            if request.stored is None:  # type: ignore[attr-defined]
                raise NotStored(response)
            return request.stored  # type: ignore[attr-defined]

        try:
            pk, again = stored_once(request, store, self.writing)
        except NotStored as refused:
            return refused.shown
        return self.answer_again(request, pk, object_id is None) if again else response

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        request.stored = form.instance.pk  # type: ignore[attr-defined]
        for each in (form, *(each for formset in formsets for each in formset.initial_forms)):
            for text in getattr(each, "moved", {}).values():
                messages.info(request, f"{each.row()}: {text}")

    def answer_again(self, request: HttpRequest, pk: Any, is_new: bool) -> HttpResponseBase:
        messages.warning(request, SENT_TWICE)
        row = self.model._default_manager.filter(pk=pk).first()
        if row is None:
            return HttpResponseRedirect(
                reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            )
        return self.response_add(request, row) if is_new else self.response_change(request, row)
