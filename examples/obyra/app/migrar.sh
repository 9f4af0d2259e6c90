#!/bin/sh
# Ocupa el lugar de `alembic upgrade head`.
set -eu
exec psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" <<'SQL'
set client_min_messages = warning;
alter table app.ordenes add column if not exists cerrada_en timestamptz;
update app.alembic_version set version_num = '20260210_ordenes';
SQL
