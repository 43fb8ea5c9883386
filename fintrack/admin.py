"""The admin of accounts, tokens and sign-ins. Administrators can't see or change superusers."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, SetUnusablePasswordMixin, UserChangeForm
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

from .access import ROLES, accounts_in_reach
from .accounts import make_token, roles_as_one, unlock
from .merging import MergingAdmin, MergingModelForm
from .models import AccountChange, FailedSignIn, SignInFailure, Token

admin.site.unregister([User, Group, AuthToken])


class HistoryOfAccount(admin.ModelAdmin):
    """Shows the history of an account, or of its token, in the trail of accounts."""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise PermissionDenied
        account = getattr(found, "user", found)
        there = reverse("admin:fintrack_accountchange_changelist")
        return HttpResponseRedirect(f"{there}?about__id__exact={account.pk}")


class AccountForm(MergingModelForm, UserChangeForm):
    def last_change(self, name: str) -> AccountChange | None:
        recorded = AccountChange.objects.filter(about=self.instance).select_related("account")
        return recorded.filter(fields__has_key="roles" if name == "groups" else name).first()


class PasswordForm(AdminPasswordChangeForm):
    """Django's, with its help text in the reader's language: Django joins the text at import, in English."""

    usable_password_help_text: Any = format_lazy(
        '{help}<ul id="id_unusable_warning" class="messagelist"><li class="warning">{warning}</li></ul>',
        help=SetUnusablePasswordMixin.usable_password_help_text,
        warning=_("If disabled, the current password for this user will be lost."),
    )


class RoleField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return gettext(obj.name)


class RoleFilter(admin.RelatedFieldListFilter):
    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        choices: list[Any] = super().field_choices(field, request, model_admin)
        return [(pk, gettext(name)) for pk, name in choices]


@admin.register(User)
class AccountAdmin(HistoryOfAccount, MergingAdmin, UserAdmin):
    """Accounts are deactivated, not deleted: the trail refers to them."""

    form = AccountForm
    change_password_form = PasswordForm
    list_display = ("username", "first_name", "last_name", "roles", "is_active", "last_login")
    list_filter = (("groups", RoleFilter), "is_active")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Role"), {"fields": ("groups", "is_active")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "description": _("The account must change a password that you set when it first signs in."),
                "fields": ("username", "usable_password", "password1", "password2", "groups"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return accounts_in_reach(request.user).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Shows users their own role in their language."""
        given = super().get_fieldsets(request, obj)
        if obj is None or obj.pk != request.user.pk:
            return given
        return [
            (
                label,
                options | {"fields": ["roles" if name == "groups" else name for name in options["fields"]]},
            )
            for label, options in given
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Users can't change their own role or deactivate themselves."""
        own = ("roles", "is_active") if obj and obj.pk == request.user.pk else ()
        return ("last_login", "date_joined", *own)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=ROLES)
            kwargs["widget"] = forms.CheckboxSelectMultiple
            kwargs["help_text"] = _("An account without a role can't do anything.")
            kwargs["label"] = _("Role")
            kwargs["form_class"] = RoleField
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        with roles_as_one(form.instance):
            super().save_related(request, form, formsets, change)

    @admin.display(description=_("role"))
    def roles(self, account: User) -> str:
        return ", ".join(gettext(group.name) for group in account.groups.all())


class TokenForm(forms.ModelForm):
    purpose = forms.CharField(
        label=_("What for"), max_length=100, help_text=_("Which program or person uses the token, and where.")
    )
    days = forms.IntegerField(label=_("Expires in days"), min_value=1, max_value=3650, initial=365)

    class Meta:
        model = Token
        fields = ("user",)
        labels = {"user": _("Account")}


@admin.register(Token)
class TokenAdmin(HistoryOfAccount, MergingAdmin):
    """A token can be created and revoked, not changed. Its value is shown only once."""

    form = TokenForm
    list_display = ("start", "account", "purpose", "maker", "made", "last_used", "expires")
    list_display_links = None
    list_select_related = ("user", "note__maker")
    list_filter = ("created", "expiry")
    search_fields = ("token_key", "user__username", "note__purpose")
    search_help_text = _("The start of the token, or a part of the account's name or the token's purpose.")
    autocomplete_fields = ("user",)
    ordering = ("-created",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display if obj else ("user", "purpose", "days")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.list_display if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        return super().get_queryset(request).filter(user__in=accounts_in_reach(request.user))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = accounts_in_reach(request.user).filter(is_active=True)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        alone = {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, alone | (extra_context or {}))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        lifetime = timedelta(days=form.cleaned_data["days"])
        made, token = make_token(obj.user, lifetime, form.cleaned_data["purpose"])
        obj.pk = made.pk
        text = _("The token of %(account)s, shown this once: %(token)s")
        messages.warning(request, text % {"account": obj.user, "token": token})

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Does nothing: Django's log would store the token's digest. The trail of accounts has a record."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Does nothing, for the same reason as log_addition()."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        request.stored = Token.objects.get(pk=form.instance.pk).token_key  # type: ignore[attr-defined]  # its key is the token's digest

    def answer_again(self, request: HttpRequest, pk: Any, is_new: bool) -> HttpResponseBase:
        text = _(
            "This form was sent twice. The token %(token)s… was created once and shown in the first answer: "
            "if you have not seen it, revoke it and create another."
        )
        messages.warning(request, text % {"token": pk})
        return HttpResponseRedirect(reverse("admin:fintrack_token_changelist"))

    @admin.display(description=_("start of the token"), ordering="token_key")
    def start(self, token: Token) -> str:
        return token.token_key

    @admin.display(description=_("account"), ordering="user")
    def account(self, token: Token) -> User:
        return token.user

    @admin.display(description=_("made"), ordering="created")
    def made(self, token: Token) -> datetime:
        return token.created

    @admin.display(description=_("expires"), ordering="expiry")
    def expires(self, token: Token) -> datetime | None:
        return token.expiry

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> Any:
        return self.response_post_save_add(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        may = self.has_delete_permission(request)
        return list(map(str, objs)), {_("tokens"): len(objs)}, set() if may else {_("token")}, []

    @admin.display(description=_("what for"), ordering="note__purpose")
    def purpose(self, token: Any) -> str:
        return token.note.purpose

    @admin.display(description=_("made by"))
    def maker(self, token: Any) -> User | None:
        return token.note.maker

    @admin.display(description=_("last used"), ordering="note__last_used")
    def last_used(self, token: Any) -> datetime | None:
        return token.note.last_used


class ReadOnlyAdmin(admin.ModelAdmin):
    actions_on_bottom = True  # otherwise Django writes an inline style, which our CSP forbids
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AccountChange)
class AccountChangeAdmin(ReadOnlyAdmin):
    actions = None
    list_display = ("moment", "about", "action", "what", "account", "via")
    list_filter = (
        "action",
        "moment",
        ("about", admin.RelatedOnlyFieldListFilter),
        ("account", admin.RelatedOnlyFieldListFilter),
    )
    list_select_related = ("about", "account")
    search_fields = ("about__username", "account__username")
    search_help_text = _("A part of the name of the changed account, or of the account that made the change.")
    fields = readonly_fields = list_display

    @admin.display(description=_("before → after"))
    def what(self, change: AccountChange) -> SafeString:
        return format_html('<ul class="changes">{}</ul>', change.as_items())


class SignInsAdmin(ReadOnlyAdmin):
    search_fields = ("username", "ip_address")
    search_help_text = _("A part of the name or the address.")

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request)
        if request.user.is_superuser:
            return found
        return found.exclude(username__in=User.objects.filter(is_superuser=True).values("username"))


@admin.register(FailedSignIn)
class FailedSignInAdmin(SignInsAdmin):
    """Failed sign-ins of the last 15 minutes. Older ones stay until anybody's next sign-in deletes them."""

    actions = ("unlock",)
    list_display = ("username", "ip_address", "user_agent", "attempt_time", "failures", "locked_until")
    fields = readonly_fields = list_display

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).with_lock()

    def has_unlock_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("fintrack.delete_failedsignin")

    @admin.action(description=_("Unlock"), permissions=["unlock"])
    def unlock(self, request: HttpRequest, queryset: QuerySet[FailedSignIn]) -> None:
        attempts = list(queryset)
        for attempt in attempts:
            unlock(attempt)
        names = ", ".join(dict.fromkeys(map(str, attempts)))
        messages.success(request, _("Unlocked: %(names)s") % {"names": names})

    @admin.display(description=_("failures"), ordering="failures_since_start")
    def failures(self, attempt: FailedSignIn) -> int:
        return attempt.failures_since_start

    @admin.display(description=_("locked until"))
    def locked_until(self, attempt: Any) -> datetime | None:
        until = attempt.last_counted and attempt.last_counted + settings.AXES_COOLOFF_TIME
        return until if until and until > timezone.now() else None


@admin.register(SignInFailure)
class SignInFailureAdmin(SignInsAdmin):
    """Failed sign-ins of the last 90 days, at most the latest 1,000 for each name."""

    actions = None
    list_display = ("attempt_time", "username", "ip_address", "user_agent", "path_info", "locked_out")
    list_filter = ("attempt_time", "locked_out")
    fields = readonly_fields = list_display
