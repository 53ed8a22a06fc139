"""Roles of PostgreSQL that may read all that the syncs write, now and later, and write nothing."""

import secrets

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.warehouse.postgres import Server

SCHEMAS = (
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' "
    "AND pg_has_role(nspowner, 'USAGE')"
)


def allow(server: Server, role: str) -> str:
    """Allows a role to read, and creates it if there is none.

    What it may read are the schemas of the user of `warehouse.url`, also those to come.

    Returns:
        The password of the role that was created; empty if it was there.

    Raises:
        SettingsError: The user of `warehouse.url` may not create roles.
    """
    import psycopg2  # noqa: PLC0415 - only a shared store needs it
    from psycopg2 import sql  # noqa: PLC0415
    from psycopg2.extensions import encrypt_password  # noqa: PLC0415

    connection, name, password = psycopg2.connect(**server.parts), sql.Identifier(role), ""
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            if not cursor.fetchall():
                password = secrets.token_urlsafe(24)
                # What verifies it, as a server may log statements.
                verifier = encrypt_password(password, role, connection, "scram-sha-256")
                cursor.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier))
                )
            cursor.execute(SCHEMAS)
            for (schema,) in cursor.fetchall():
                of = sql.Identifier(schema)
                cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(of, name))
                cursor.execute(
                    sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}").format(of, name)
                )
            later = "ALTER DEFAULT PRIVILEGES GRANT {} TO {{}}"
            for privilege in ("USAGE ON SCHEMAS", "SELECT ON TABLES"):
                cursor.execute(sql.SQL(later.format(privilege)).format(name))
    except psycopg2.errors.InsufficientPrivilege as error:
        said = str(error).splitlines()[0]
        raise SettingsError(
            f"{server.name} does not let the user of warehouse.url do that ({said}): have a "
            f"superuser run CREATE ROLE {role} LOGIN PASSWORD '...', then try again."
        ) from None
    finally:
        connection.close()
    return password
