-- Una base pequeña con la forma de la verdadera, para probar el ejemplo.
create role inventario_app login;
create table catalogos (id integer primary key, nombre text not null unique);
create table activos (
  id bigint generated always as identity primary key,
  codigo text not null unique,
  catalogo_id integer not null references catalogos (id),
  alta date not null
);
create table usuarios (nombre text primary key, rol text not null);
create table _prisma_migrations (
  id text primary key, migration_name text not null, started_at timestamptz not null, finished_at timestamptz
);
insert into catalogos values (1, 'Cómputo'), (2, 'Mobiliario'), (3, 'Vehículos');
insert into activos (codigo, catalogo_id, alta)
  select 'ACT-' || lpad(n::text, 5, '0'), 1 + n % 3, date '2025-01-01' + n from generate_series(1, 300) n;
insert into usuarios values ('admin', 'administrador'), ('lucia', 'consulta');
insert into _prisma_migrations values ('1', '20260101_inicio', '2026-01-01', '2026-01-01');
grant select on all tables in schema public to inventario_app;
