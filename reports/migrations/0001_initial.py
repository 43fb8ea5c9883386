import secrets

from django.db import migrations, models


def add_stamp(apps, schema_editor):
    stamps = apps.get_model("reports", "DataStamp").objects.using(schema_editor.connection.alias)
    stamps.create(value=secrets.token_hex(16))


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="DataStamp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("value", models.CharField(max_length=32)),
            ],
        ),
        migrations.RunPython(add_stamp, migrations.RunPython.noop),
    ]
