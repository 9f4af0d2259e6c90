#!/bin/sh
# Ocupa el lugar de `npm run db:migrate`.
set -eu
exec psql -X -q -v ON_ERROR_STOP=1 "$DATABASE_URL" <<'SQL'
set client_min_messages = warning;
alter table "Comprobante" add column if not exists "anuladoEn" timestamptz;
insert into _prisma_migrations values ('2', '20250901_anulados', now(), now()) on conflict do nothing;
SQL
