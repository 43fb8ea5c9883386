import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


def note_tokens(apps, schema_editor):
    """Every token has a note; of those that are there already it says nothing."""
    keys = apps.get_model("knox", "AuthToken").objects.values_list("pk", flat=True)
    note = apps.get_model("fintrack", "TokenNote")
    note.objects.bulk_create(note(token_id=key) for key in keys)


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('axes', '0010_accessattemptexpiration'),
        ('fintrack', '0001_idempotency_key'),
        ('knox', '0009_extend_authtoken_field'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PasswordDue',
            fields=[
                ('account', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, serialize=False, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='FailedSignIn',
            fields=[
            ],
            options={
                'verbose_name': 'failed sign-in',
                'verbose_name_plural': 'failed sign-ins',
                'proxy': True,
                'default_permissions': ('view', 'delete'),
                'indexes': [],
                'constraints': [],
            },
            bases=('axes.accessattempt',),
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
            ],
            options={
                'verbose_name': 'token',
                'verbose_name_plural': 'tokens',
                'proxy': True,
                'default_permissions': ('view', 'add', 'delete'),
                'indexes': [],
                'constraints': [],
            },
            bases=('knox.authtoken',),
        ),
        migrations.CreateModel(
            name='AccountChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('moment', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='when')),
                ('via', models.CharField(max_length=200, verbose_name='by way of')),
                ('action', models.CharField(choices=[('made', 'made'), ('changed', 'changed'), ('roles', 'role changed'), ('password set', 'password set by somebody else'), ('password changed', 'own password changed'), ('password removed', 'password removed'), ('token made', 'token made'), ('token revoked', 'token revoked'), ('token expired', 'expired token removed'), ('unlocked', 'sign-in unlocked')], max_length=20, verbose_name='action')),
                ('fields', models.JSONField(default=dict, verbose_name='before and after')),
                ('about', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='account')),
                ('account', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='actor')),
            ],
            options={
                'verbose_name': 'change of an account',
                'verbose_name_plural': 'changes of accounts',
                'ordering': ('-pk',),
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='TokenNote',
            fields=[
                ('token', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='note', serialize=False, to="knox.authtoken")),
                ('purpose', models.CharField(max_length=100, verbose_name='what for')),
                ('last_used', models.DateTimeField(help_text='To the hour.', null=True, verbose_name='last used')),
                ('maker', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='made by')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RunPython(note_tokens, migrations.RunPython.noop),
    ]
