"""Texts of packages and of Python without a good Ukrainian translation, listed for `make messages` to find.

Nothing imports this module. Our catalog comes before those of the packages, so its translations are used.
"""

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext_lazy

# Django's admin puts names into sentences, and Ukrainian names would have to be inflected there.
_("Add %s")
_("Add %(name)s")
_("Add another %(model)s")
_("Add another %(verbose_name)s")
_("Add link")
_("After you’ve created a user, you’ll be able to edit more user options.")
_("Cannot delete %(name)s")
_("Change %s")
_("Change or view list link")
_("Change selected %(model)s")
_("Delete selected %(model)s")
_("Delete selected %(verbose_name_plural)s")
_("Model name")
_("Models in the %(name)s application")
_("Select %s")
_("Select %s to change")
_("Select %s to view")
_("Select all %(total_count)s %(module_name)s")
_("Successfully deleted %(count)d %(items)s.")
_("The %(name)s “%(obj)s” was deleted successfully.")
_("The {name} “{obj}” was added successfully.")
_("The {name} “{obj}” was added successfully. You may add another {name} below.")
_("The {name} “{obj}” was changed successfully.")
_("The {name} “{obj}” was changed successfully. You may add another {name} below.")
_("The {name} “{obj}” was changed successfully. You may edit it again below.")
_("View %s")
_("View selected %(model)s")
_("%(app)s administration")
_("%(name)s with ID “%(key)s” doesn’t exist. Perhaps it was deleted?")
ngettext_lazy(
    "%(count)s %(name)s was changed successfully.",
    "%(count)s %(name)s were changed successfully.",
    "count",
)

# Django's fields
_("“%(pk)s” is not a valid value.")
_("“%(value)s” value must be a decimal number.")
_("“%(value)s” value must be an integer.")
_("“%(value)s” value must be either True or False.")

# axes
_("Access lock out")
_("Attempt Time")
_("Failed Logins")
_("HTTP Accept")
_("IP Address")
_("Path")
_("User Agent")
_("Username")

# http.HTTPStatus, for the problems of the API
_("Bad request syntax or unsupported method")
_("Nothing matches the given URI")
_("Precondition in headers is false")
_("Request forbidden -- authorization will not help")
_("Server got itself in trouble")
_("Specified method is invalid for this resource")

# knox
_("created")
_("expiry")
