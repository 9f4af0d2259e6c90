-- Una base pequeña con la forma de la verdadera, para probar el ejemplo.
create role comercial_app login;
create table "Tenant" (id integer primary key, nombre text not null);
create table "Product" (id integer primary key, "tenantId" integer not null references "Tenant" (id), nombre text not null, precio numeric(12, 2) not null);
create table "Venta" (id integer primary key, "tenantId" integer not null references "Tenant" (id), total numeric(14, 2) not null, fecha timestamptz not null);
create table "VentaItem" (
  id bigint generated always as identity primary key,
  "ventaId" integer not null references "Venta" (id),
  "productId" integer not null references "Product" (id),
  cantidad integer not null,
  precio numeric(12, 2) not null
);
create table "BackupRun" (id text primary key, checksum text not null);
insert into "Tenant" values (1, 'Eléctrica Norte'), (2, 'Eléctrica Sur');
insert into "Product" select n, 1 + n % 2, 'Cable ' || n, n * 2.5 from generate_series(1, 60) n;
insert into "Venta" select n, 1 + n % 2, 0, timestamptz '2026-01-01 10:00Z' + n * interval '1 hour' from generate_series(1, 200) n;
insert into "VentaItem" ("ventaId", "productId", cantidad, precio)
  select v.id, p.id, 1 + v.id % 5, p.precio from "Venta" v join "Product" p on p."tenantId" = v."tenantId" and p.id % 20 = v.id % 20;
update "Venta" v set total = (select coalesce(sum(cantidad * precio), 0) from "VentaItem" i where i."ventaId" = v.id);
create index on "VentaItem" ("ventaId");
grant select on all tables in schema public to comercial_app;
