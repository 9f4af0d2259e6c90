-- Una base pequeña con la forma de la verdadera, para probar el ejemplo.
create table "Certificado" (id integer primary key, ruc text not null, huella text not null, "xmlKey" text not null);
create table "Comprobante" (
  id bigint generated always as identity primary key,
  serie text not null,
  numero integer not null,
  estado text not null,
  total numeric(12, 2) not null,
  "xmlKey" text,
  "certificadoId" integer not null references "Certificado" (id),
  unique (serie, numero)
);
create table _prisma_migrations (
  id text primary key, migration_name text not null, started_at timestamptz not null, finished_at timestamptz
);
insert into "Certificado" values (1, '20123456789', encode(sha256('uno'), 'hex'), 'certificados/1.pfx');
insert into "Comprobante" (serie, numero, estado, total, "xmlKey", "certificadoId")
  select 'F001', n, case when n % 10 = 0 then 'BORRADOR' else 'ACEPTADO' end, n * 11.8,
         case when n % 10 = 0 then null else 'xml/F001-' || n || '.xml' end, 1
  from generate_series(1, 400) n;
insert into _prisma_migrations values ('1', '20250601_inicio', '2025-06-01', '2025-06-01');
