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

# Django's admin, in good Ukrainian
_("All dates")
_("All")
_(
    "Deleting the %(object_name)s '%(escaped_object)s' would require deleting the following "
    "protected related objects:"
)
_("Disable password-based authentication")
_("Enable password-based authentication")
_("Go")
_("Filter")
_("Filter navigation items")
_("Items must be selected in order to perform actions on them. No items have been changed.")
_("No action selected.")
_("Remove from sorting")
_("Run the selected action")
_("Save and add another")
_("Save and continue editing")
_("Save and view")
_("Select all objects on this page for an action")
_("Select this object for an action - {}")
_("Click here to select the objects across all pages")
_("Sorting priority: %(priority_number)s")
_("Start typing to filter…")
_("Summary")
_("Toggle navigation")
_("Toggle sorting")
_("0 of %(cnt)s selected")
_("This action will <strong>enable</strong> password-based authentication for this user.")
_("Enter a new password for the user <strong>%(username)s</strong>.")

# Django's accounts
_("A user with that username already exists.")
_("Designates whether this user should be treated as active. Unselect this instead of deleting accounts.")
_("Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.")
_("Enter the same password as before, for verification.")
_("If disabled, the current password for this user will be lost.")
_("Password-based authentication")
_("Password-based authentication was disabled.")
_("Please enter a correct %(username)s and password. Note that both fields may be case-sensitive.")
_("Raw passwords are not stored, so there is no way to see the user’s password.")
_("Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.")
_("The password is too similar to the %(verbose_name)s.")
_("The two password fields didn’t match.")
_("This password is entirely numeric.")
_("This password is too common.")
_(
    "Whether the user will be able to authenticate using a password or not. If disabled, they may "
    "still be able to authenticate using other backends, such as Single Sign-On or LDAP."
)
_("Your old password was entered incorrectly. Please enter it again.")
_("Your password can’t be a commonly used password.")
_("Your password can’t be entirely numeric.")
_("Your password can’t be too similar to your other personal information.")
_("date joined")
_("email address")
_("first name")
_("username")
_("The groups this user belongs to. A user will get all permissions granted to each of their groups.")

# Django's and DRF's forms and fields
_("%(model_name)s with this %(field_label)s already exists.")
_("%(model_name)s with this %(field_labels)s already exists.")
_("Enter a valid date.")
_("Enter a valid email address.")
_("Enter a valid value.")
_("Enter a number.")
_("Enter a whole number.")
_("Ensure this value is greater than or equal to %(limit_value)s.")
_("Ensure this value is less than or equal to %(limit_value)s.")
_(
    "ManagementForm data is missing or has been tampered with. Missing fields: %(field_names)s. You "
    "may need to file a bug report if the issue persists."
)
_("Select a valid choice. %(value)s is not one of the available choices.")
_("Select a valid choice. That choice is not one of the available choices.")
_("The submitted file is empty.")
_("This field cannot be blank.")
_("This field is required.")
_("Date has wrong format. Use one of these formats instead: {format}.")
_("Ensure that there are no more than {max_decimal_places} decimal places.")
_("Ensure that there are no more than {max_digits} digits in total.")
_("Ensure that there are no more than {max_whole_digits} digits before the decimal point.")
_("Ensure this field has no more than {max_length} characters.")
_("Ensure this value is greater than or equal to {min_value}.")
_("Ensure this value is less than or equal to {max_value}.")
_('Expected a list of items but got type "{input_type}".')

# DRF's refusals
_("Authentication credentials were not provided.")
_("Could not satisfy the request Accept header.")
_("Invalid token header. No credentials provided.")
_("Invalid token header. Token string should not contain spaces.")
_('Method "{method}" not allowed.')
_("Request was throttled.")
_('Unsupported media type "{media_type}" in request.')
_("You do not have permission to perform this action.")

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
