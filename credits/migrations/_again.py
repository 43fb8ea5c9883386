"""Operations that can run again: MySQL and MariaDB keep what an interrupted migration has done."""

from django.db import migrations


def indexes(state, app_label, schema_editor, model_name):
    table = state.apps.get_model(app_label, model_name)._meta.db_table
    with schema_editor.connection.cursor() as cursor:
        return schema_editor.connection.introspection.get_constraints(cursor, table)


class CreateSummary(migrations.CreateModel):
    """Drops the table first, if an attempt has left one: its totals are computed again."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.name)
        if model._meta.db_table in schema_editor.connection.introspection.table_names():
            schema_editor.delete_model(model)
        super().database_forwards(app_label, schema_editor, from_state, to_state)


class AddIndex(migrations.AddIndex):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        undone = schema_editor.connection.features.can_rollback_ddl
        if undone or self.index.name not in indexes(to_state, app_label, schema_editor, self.model_name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveIndex(migrations.RemoveIndex):
    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        undone = schema_editor.connection.features.can_rollback_ddl
        if undone or self.name in indexes(from_state, app_label, schema_editor, self.model_name):
            super().database_forwards(app_label, schema_editor, from_state, to_state)
