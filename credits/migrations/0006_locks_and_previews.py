from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0005_load_ids_moved"),
    ]

    operations = [
        migrations.CreateModel(
            name="Lock",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
            ],
            options={
                "db_table": "book_lock",
                "default_permissions": (),
            },
        ),
        # An upload that is there already belongs to no table: it can't be confirmed any more.
        migrations.AddField(
            model_name="upload",
            name="table",
            field=models.CharField(max_length=50, default=""),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="upload",
            name="columns",
            field=models.PositiveSmallIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="upload",
            name="digest",
            field=models.CharField(max_length=64, default=""),
            preserve_default=False,
        ),
    ]
