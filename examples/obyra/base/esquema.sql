-- Una base pequeña con la forma de la verdadera, para probar el ejemplo.
create schema app;
create table app.alembic_version (version_num text primary key);
create table app.estados (id integer primary key, nombre text not null);
create table app.obras (id integer primary key, nombre text not null);
create table app.usuarios (nombre text primary key);
create table app.ordenes (
  id bigint generated always as identity primary key,
  obra_id integer not null references app.obras (id),
  estado_id integer not null references app.estados (id),
  monto numeric(12, 2) not null
);
insert into app.alembic_version values ('20260105_inicio');
insert into app.estados values (1, 'abierta'), (2, 'en curso'), (3, 'cerrada'), (4, 'anulada');
insert into app.obras select n, 'Obra ' || n from generate_series(1, 12) n;
insert into app.usuarios values ('simulacro');
insert into app.ordenes (obra_id, estado_id, monto) select 1 + n % 12, 1 + (n - 1) % 4, n * 100 from generate_series(1, 240) n;
