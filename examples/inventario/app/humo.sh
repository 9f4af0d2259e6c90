#!/bin/sh
# Ocupa el lugar de `npm run test:smoke-admin`.
set -eu
administradores=$(psql -XAtc "select count(*) from usuarios where rol = 'administrador'" "$DATABASE_URL")
pendientes=$(psql -XAtc "select count(*) from _prisma_migrations where finished_at is null" "$DATABASE_URL")
echo "administradores: $administradores, migraciones sin terminar: $pendientes"
test "$administradores" -ge 1
test "$pendientes" -eq 0
