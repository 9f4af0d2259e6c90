#!/bin/sh
# Ocupa el lugar de `npx prisma migrate deploy`: aplica lo que a la base restaurada le falte.
set -eu
exec psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" <<'SQL'
set client_min_messages = warning;
alter table activos add column if not exists baja date;
insert into _prisma_migrations values ('2', '20260301_baja', now(), now()) on conflict do nothing;
SQL
