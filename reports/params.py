"""The forms of reports' parameters: a field for each kind of parameter."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fintrack.api.params import DateField, NumberField, ParamsForm

JSON, CSV, XLSX = "json", "csv", "xlsx"
FIRST_YEAR, LAST_YEAR = 1900, 2999


class ReportParams(ParamsForm):
    """The parameters of a report. Every report takes `format`, for a download."""

    format = forms.ChoiceField(
        required=False,
        choices=[(name, name) for name in (CSV, XLSX)],
        widget=forms.HiddenInput,
        help_text=f"{CSV} or {XLSX}",
    )


class ParamsAtToday(ReportParams):
    """The parameters of a report that depends on today's date: adds `today`."""

    def clean(self) -> None:
        super().clean()
        self.cleaned_data["today"] = timezone.localdate()


class DayField(DateField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            help_text=_("a date, yyyy-mm-dd"),
            **{"label": _("Date"), **kwargs},
        )


class MonthField(DateField):
    """A month as yyyy-mm, cleaned to its first day."""

    pattern = "[0-9]{4}-[0-9]{2}"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            input_formats=["%Y-%m"],
            widget=forms.DateInput(format="%Y-%m", attrs={"type": "month"}),
            help_text=_("a month, yyyy-mm"),
            **{"label": _("Month"), "initial": timezone.localdate, **kwargs},
        )


class YearField(NumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=FIRST_YEAR,
            max_value=LAST_YEAR,
            help_text=_("a year from 1900 to 2999"),
            **{"label": _("Year"), "initial": lambda: timezone.localdate().year, **kwargs},
        )


class IdField(NumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class BorrowerField(IdField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Borrower's id"), help_text=_("the id of a borrower, a whole number from 1"), **kwargs
        )
