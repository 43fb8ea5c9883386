from itertools import islice

from django.db import migrations

MOST = 2000  # ids in one row


def move(apps, schema_editor):
    """[[first, last], …] of each load to rows of a table; one load at a time, some have very many."""
    alias = schema_editor.connection.alias
    loads = apps.get_model("credits", "Load").objects.using(alias)
    ranges = apps.get_model("credits", "LoadIds").objects.using(alias)
    ranges.all().delete()  # of an attempt that a database without transactions of its schema has kept
    for pk in list(loads.filter(new__gt=0).values_list("pk", flat=True)):
        ids = loads.values_list("ids", flat=True).get(pk=pk)
        pieces = (
            ranges.model(load_id=pk, first_id=start, last_id=min(start + MOST - 1, last))
            for first, last in ids
            for start in range(first, last + 1, MOST)
        )
        while some := list(islice(pieces, 2000)):
            ranges.bulk_create(some)


class Migration(migrations.Migration):
    dependencies = [("credits", "0004_load_ids")]

    operations = [
        migrations.RunPython(move),
        migrations.RemoveIndex("load", "load_of_table"),
        migrations.RemoveField("load", "ids"),
        migrations.RemoveField("load", "first_id"),
        migrations.RemoveField("load", "last_id"),
    ]
