import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("credits", "0003_trail")]

    operations = [
        migrations.CreateModel(
            name="LoadIds",
            fields=[
                ("pk", models.CompositePrimaryKey("load_id", "first_id", blank=True, editable=False, primary_key=True, serialize=False)),
                ("first_id", models.BigIntegerField()),
                ("last_id", models.BigIntegerField()),
                ("load", models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="ranges", to="credits.load")),
            ],
            options={
                "db_table": "trail_load_ids",
                "default_permissions": (),
                "indexes": [models.Index(fields=["first_id", "last_id"], name="load_ids")],
            },
        ),
    ]
