"""Accounts and tokens, which administrators manage; what a superuser is stays out of their reach."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

from .access import ROLES, accounts_in_reach
from .merging import MergingAdmin, MergingModelForm

admin.site.unregister([User, Group, AuthToken])


class AccountForm(MergingModelForm, UserChangeForm):
    pass


@admin.register(User)
class AccountAdmin(MergingAdmin, UserAdmin):
    """Accounts are switched off, not deleted: the trail names them."""

    form = AccountForm
    list_display = ("username", "first_name", "last_name", "roles", "is_active", "last_login")
    list_filter = ("groups", "is_active")
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
                "fields": ("username", "usable_password", "password1", "password2", "groups"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return accounts_in_reach(request.user).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Nobody changes their own role, or switches themselves off."""
        own = ("groups", "is_active") if obj and obj.pk == request.user.pk else ()
        return ("last_login", "date_joined", *own)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=ROLES)
            kwargs["widget"] = forms.CheckboxSelectMultiple
            kwargs["help_text"] = _("Without a role an account may do nothing.")
            kwargs["label"] = _("Role")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("role"))
    def roles(self, account: User) -> str:
        return ", ".join(group.name for group in account.groups.all())


class TokenForm(forms.ModelForm):
    days = forms.IntegerField(label=_("Days until it expires"), min_value=1, max_value=3650, initial=365)

    class Meta:
        model = AuthToken
        fields = ("user",)


@admin.register(AuthToken)
class TokenAdmin(admin.ModelAdmin):
    """A token is made, shown once, and revoked; it never changes."""

    form = TokenForm
    list_display = ("token_key", "user", "created", "expiry")
    list_display_links = None
    list_select_related = ("user",)
    list_filter = ("created", "expiry")
    search_fields = ("token_key", "user__username")
    autocomplete_fields = ("user",)
    ordering = ("-created",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthToken]:
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

    def save_model(self, request: HttpRequest, obj: AuthToken, form: Any, change: bool) -> None:
        made, token = AuthToken.objects.create(obj.user, timedelta(days=form.cleaned_data["days"]))
        obj.__dict__.update(made.__dict__)
        text = _("The token of %(account)s, shown this once: %(token)s")
        messages.warning(request, text % {"account": obj.user, "token": token})

    def response_add(self, request: HttpRequest, obj: AuthToken, post_url_continue: str | None = None) -> Any:
        return self.response_post_save_add(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        may = self.has_delete_permission(request)
        names = [f"{token.token_key}… of {token.user}" for token in objs]
        return names, {_("tokens"): len(names)}, set() if may else {_("token")}, []
