"""The forms of reports' parameters: a field for each kind of parameter."""

from datetime import date
from typing import Any, ClassVar, Self

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from fintrack.api.params import DateField, NumberField, ParamsForm

from .periods import Period
from .stretch import last_day_of_book, last_whole_month, last_whole_year

JSON, CSV, XLSX = "json", "csv", "xlsx"
FIRST_YEAR, LAST_YEAR = 1900, 2999
MAIN = ("check_date", "month", "year")  # the names of a report's own period


class PeriodField(forms.Field):
    """A day, a month or a year: the first letters of a date. In an address of a page it can be a period."""

    length: ClassVar[int]  # number of letters
    default_name: ClassVar[Promise]
    first_name: ClassVar[Promise | None] = None  # of the one shown while none is whole
    presets: ClassVar[list[tuple[Promise, str]]]

    def default(self, today: date) -> tuple[date | None, Promise | None]:
        """Returns a day of what a page shows by default, and its name; neither for an empty book."""
        if whole := self.last_whole(today):
            return whole, self.default_name
        last = last_day_of_book(today)
        return last, self.first_name if last else None

    def text(self, day: date) -> str:
        """Returns the day, or its month or year, as the field takes it."""
        return day.isoformat()[: self.length]

    def last_whole(self, today: date) -> date | None:
        """Returns the last day of the last whole one in the book; None if none is whole."""
        raise NotImplementedError


class DayField(PeriodField, DateField):
    length = 10
    default_name = _("the last day of the book")
    presets = [(_("Today"), "today"), (_("Yesterday"), "today-1"), (_("End of last month"), "month-1")]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            help_text=_("a date, yyyy-mm-dd"),
            **{"label": _("Date"), **kwargs},
        )

    def last_whole(self, today: date) -> date | None:
        return last_day_of_book(today)


class MonthField(PeriodField, DateField):
    """A month as yyyy-mm, cleaned to its first day."""

    pattern = "[0-9]{4}-[0-9]{2}"
    length = 7
    default_name = _("the last whole month of the book")
    first_name = _("the first month of the book")
    presets = [(_("This month"), "month"), (_("Last month"), "month-1")]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            input_formats=["%Y-%m"],
            widget=forms.DateInput(format="%Y-%m", attrs={"type": "month"}),
            help_text=_("a month, yyyy-mm"),
            **{"label": _("Month"), **kwargs},
        )

    def last_whole(self, today: date) -> date | None:
        return last_whole_month(today)


class YearField(PeriodField, NumberField):
    length = 4
    default_name = _("the last whole year of the book")
    first_name = _("the first year of the book")
    presets = [(_("This year"), "year"), (_("Last year"), "year-1")]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_value=FIRST_YEAR,
            max_value=LAST_YEAR,
            help_text=_("a year from 1900 to 2999"),
            **{"label": _("Year"), **kwargs},
        )

    def last_whole(self, today: date) -> date | None:
        return last_whole_year(today)


class ReportParams(ParamsForm):
    """The parameters of a report. Every report takes `format`, for a download."""

    main: ClassVar[tuple[str, ...]] = MAIN

    format = forms.ChoiceField(
        required=False,
        choices=[(name, name) for name in (CSV, XLSX)],
        widget=forms.HiddenInput,
        help_text=_("csv or xlsx"),
    )

    # These are for pages. Periods are such as month-1.
    default_name: Promise | None = None  # of the day, month or year that is shown because none is asked
    asked = ""  # the day, month, year or period that is asked
    periods: tuple[str, ...] = ()  # all periods of the address
    presets: tuple[tuple[Promise, str], ...] = ()  # (label, address) of some periods
    fixed = ""  # the address with dates in place of the periods

    @classmethod
    def of_page(cls, asked: QueryDict) -> Self:
        """Returns the form of a page. Days, months and years of its address can be periods: see Period."""
        data, periods, today = asked.copy(), [], timezone.localdate()
        fields = {name: field for name, field in cls.base_fields.items() if isinstance(field, PeriodField)}
        for name, field in fields.items():
            texts = data.getlist(name)
            if len(texts) == 1 and (period := Period.of(texts[0], today)):
                # A range begins with the first day of its period. All else is as of the last.
                data[name] = field.text(period.first if name.endswith("_from") else period.last)
                periods += texts if texts[0] != data[name] else []
        form = cls(data)
        form.asked = next(filter(None, map(asked.get, MAIN)), "")
        form.periods, form.fixed = tuple(periods), query_with(data)
        for name in fields.keys() & {*cls.main}:
            field = fields[name]
            form.presets = tuple((label, query_with(asked, **{name: text})) for label, text in field.presets)
            if field.required and not any(data.getlist(name)):
                day, form.default_name = field.default(today)
                data[name] = field.text(day or today)
        return form

    def show(self, until: str) -> None:
        """Shows the last day of the report in its period, if the report has chosen it itself."""
        for name in self.main:
            field = self.fields.get(name)
            if until and isinstance(field, PeriodField) and not self.data.get(name):
                self.data[name], self.default_name = until[: field.length], field.default_name


def query_with(data: QueryDict, **values: str) -> str:
    """Returns the query with these values of parameters, and without a format."""
    query = data.copy()
    query.pop("format", None)
    for name, value in values.items():
        query[name] = value
    return f"?{query.urlencode()}"


class ParamsAtToday(ReportParams):
    """The parameters of a report that depends on today's date: adds `today`."""

    def clean(self) -> None:
        super().clean()
        self.cleaned_data["today"] = timezone.localdate()


class IdField(NumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)


class BorrowerField(IdField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Borrower's id"), help_text=_("the id of a borrower, a whole number from 1"), **kwargs
        )
