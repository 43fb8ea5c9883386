from django.db import migrations

NAMES = {1: "тіло", 2: "відсотки", 3: "видача", 4: "збір"}


def add_entries(apps, schema_editor):
    entries = apps.get_model("credits", "Dictionary").objects.using(schema_editor.connection.alias)
    for pk, name in NAMES.items():
        entries.get_or_create(pk=pk, defaults={"name": name})


class Migration(migrations.Migration):
    dependencies = [("credits", "0001_initial")]
    operations = [migrations.RunPython(add_entries, migrations.RunPython.noop)]
