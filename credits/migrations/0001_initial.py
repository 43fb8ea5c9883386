import django.core.validators
import django.db.models.deletion
from decimal import Decimal
from django.db import migrations, models

import credits.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Dictionary",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, verbose_name="name")),
            ],
            options={"base_manager_name": "objects", "verbose_name": "dictionary entry", "verbose_name_plural": "dictionary"},
        ),
        migrations.CreateModel(
            name="Borrower",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("login", credits.models.ExactCharField(max_length=150, verbose_name="login")),
                ("registration_date", models.DateField(verbose_name="registered")),
            ],
            options={
                "base_manager_name": "objects",
                "verbose_name": "borrower",
                "verbose_name_plural": "borrowers",
                "constraints": [models.UniqueConstraint(fields=("login",), name="borrower_login_unique")],
            },
        ),
        migrations.CreateModel(
            name="Credit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("issuance_date", models.DateField(verbose_name="issued")),
                ("return_date", models.DateField(verbose_name="due")),
                ("actual_return_date", models.DateField(blank=True, null=True, verbose_name="returned")),
                ("body", models.DecimalField(decimal_places=2, max_digits=14, validators=[django.core.validators.MinValueValidator(Decimal("0.00"))], verbose_name="body")),
                ("percent", models.DecimalField(decimal_places=2, help_text="Interest accrued: an amount of money, not a rate.", max_digits=14, validators=[django.core.validators.MinValueValidator(Decimal("0.00"))], verbose_name="interest")),
                ("borrower", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="credits", to="credits.borrower", verbose_name="borrower")),
            ],
            options={
                "base_manager_name": "objects",
                "verbose_name": "credit",
                "verbose_name_plural": "credits",
                "indexes": [models.Index(fields=["issuance_date", "body"], name="credit_issued")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("body__gte", 0)), name="credit_body_not_negative"),
                    models.CheckConstraint(condition=models.Q(("percent__gte", 0)), name="credit_percent_not_negative"),
                    models.CheckConstraint(condition=models.Q(("return_date__gte", models.F("issuance_date"))), name="credit_due_after_issuance", violation_error_message="The credit is due before it is issued."),
                    models.CheckConstraint(condition=models.Q(("actual_return_date__gte", models.F("issuance_date")), ("actual_return_date__isnull", True), _connector="OR"), name="credit_returned_after_issuance", violation_error_message="The credit is returned before it is issued."),
                ],
            },
        ),
        migrations.CreateModel(
            name="Payment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("payment_date", models.DateField(verbose_name="paid")),
                ("sum", models.DecimalField(decimal_places=2, max_digits=14, validators=[django.core.validators.MinValueValidator(Decimal("0.01"))], verbose_name="sum")),
                ("credit", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="payments", to="credits.credit", verbose_name="credit")),
                ("type", models.ForeignKey(db_index=False, limit_choices_to={"pk__in": [1, 2]}, on_delete=django.db.models.deletion.PROTECT, related_name="payments", to="credits.dictionary", verbose_name="type")),
            ],
            options={
                "base_manager_name": "objects",
                "verbose_name": "payment",
                "verbose_name_plural": "payments",
                "indexes": [
                    models.Index(fields=["payment_date", "sum"], name="payment_paid"),
                    models.Index(fields=["credit", "type", "payment_date", "sum"], name="payment_of_credit"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("sum__gt", 0)), name="payment_sum_positive"),
                    models.CheckConstraint(condition=models.Q(("type__in", [1, 2])), name="payment_for_body_or_interest"),
                ],
            },
        ),
    ]
