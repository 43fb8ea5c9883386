"""Forms and form fields that check the query parameters of a request."""

import re
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from .problems import Refused, parameter_fault

MAX_ID = 2**63 - 1
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,2})?$"
DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


class PlainField(forms.Field):
    """Accepts only text of its pattern: Python would also accept 2_021, 1e3 and digits of other scripts."""

    pattern: str

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.strip() and not re.fullmatch(self.pattern, value.strip()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class NumberField(PlainField, forms.IntegerField):
    pattern = "[0-9]+"


class AmountField(PlainField, forms.DecimalField):
    pattern = AMOUNT


class DateField(PlainField, forms.DateField):
    """A day as yyyy-mm-dd."""

    pattern = DAY
    input_formats = ("%Y-%m-%d",)


class ParamsForm(forms.Form):
    """The query parameters of a report or list. A field's help_text says what it expects, also in errors."""

    data: QueryDict
    strict = False  # if true, an optional parameter must not be empty

    def clean(self) -> None:
        for fault in self.misplaced():
            self.add_error(None, _("%(parameter)s: expected %(expected)s") % fault)

    def given(self, name: str) -> list[str]:
        """Returns what was sent under the name: texts, and the names of files."""
        files = self.files.getlist(name) if self.files else []
        return [*self.data.getlist(name), *(str(file.name) for file in files)]

    def misplaced(self) -> list[dict[str, Any]]:
        """Returns a fault for each parameter that is unknown, given twice or empty."""
        faults = []
        for name in dict.fromkeys([*self.data, *self.files]):
            given, field = self.given(name), self.fields.get(name)
            if field is None:
                known = _("one of these parameters: %(names)s") % {"names": ", ".join(self.fields)}
                expected = known if self.fields else _("no parameters")
                faults.append(parameter_fault(name, given[-1], expected, "unknown"))
            elif len(given) > 1 and not isinstance(field, forms.MultipleChoiceField):
                faults.append(parameter_fault(name, ", ".join(given), _("one value"), "repeated"))
            elif self.strict and not field.required and name not in self.errors and not given[0].strip():
                faults.append(parameter_fault(name, given[0], field.help_text, "required"))
        return faults

    def checked(self) -> dict[str, Any]:
        """Returns the cleaned parameters. Raises Refused, which lists every fault."""
        faults = self.misplaced()
        for name, errors in self.errors.as_data().items():
            if name != NON_FIELD_ERRORS:
                given, expected = next(reversed(self.given(name)), None), self.fields[name].help_text
                # Django reports a text sent in place of a file as a missing file.
                code = "invalid" if given and errors[0].code == "required" else errors[0].code
                faults.append(parameter_fault(name, given, expected, code))
        if faults:
            raise Refused(_("Check the parameters."), faults)
        return self.cleaned_data
