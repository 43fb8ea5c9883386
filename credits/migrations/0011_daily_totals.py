import credits.book.money
from django.db import migrations, models
from django.db.models import Count, Value

from . import _again

# Of each source: its column of the day, what says the kind, and its column of the amount.
SOURCES = {
    "Credit": ("issuance_date", Value(3), "body"),
    "Payment": ("payment_date", models.F("type"), "sum"),
}


def fill(apps, schema_editor):
    alias = schema_editor.connection.alias
    totals = apps.get_model("credits", "DailyTotal").objects.using(alias)
    totals.all().delete()  # of an attempt that a database without transactions of its schema has kept
    for name, (day, kind, amount) in SOURCES.items():
        rows = apps.get_model("credits", name).objects.using(alias).order_by()
        groups = rows.values_list(day, kind).annotate(Count("pk"), credits.book.money.MoneySum(amount))
        totals.bulk_create(
            [totals.model(day=of_day, kind=of_kind, count=count, sum=amount_sum)
             for of_day, of_kind, count, amount_sum in groups],
            batch_size=2000,
        )


class Migration(migrations.Migration):

    dependencies = [
        ('credits', '0010_rows_at_fault'),
    ]

    operations = [
        _again.CreateSummary(
            name='DailyTotal',
            fields=[
                ('pk', models.CompositePrimaryKey('kind', 'day', blank=True, editable=False, primary_key=True, serialize=False)),
                ('kind', models.PositiveSmallIntegerField(choices=[(3, 'issued'), (1, 'body paid'), (2, 'interest paid')])),
                ('day', models.DateField()),
                ('count', models.PositiveIntegerField()),
                ('sum', credits.book.money.WholeKopecks(decimal_places=2, max_digits=20)),
            ],
            options={
                'db_table': 'book_daily_total',
                'abstract': False,
                'default_permissions': (),
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
