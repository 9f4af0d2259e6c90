#!/bin/sh
# Ocupa el lugar de los tests básicos: cada tenant ve productos y ventas suyos, como el rol de la aplicación.
set -eu
sin=$(psql -XAtq "$DATABASE_URL" <<'SQL'
set role comercial_app;
select count(*) from "Tenant" t
 where not exists (select from "Product" p where p."tenantId" = t.id)
    or not exists (select from "Venta" v where v."tenantId" = t.id);
SQL
)
echo "tenants sin productos o sin ventas: $sin"
test "$sin" = 0
