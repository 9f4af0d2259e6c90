-- Una base pequeña con la forma de la verdadera, para probar el ejemplo.
create table usuarios (id integer primary key, correo text not null unique);
create table productos (id integer primary key, nombre text not null, precio integer not null);
create table pedidos (
  id integer primary key, usuario_id integer not null references usuarios (id),
  producto_id integer not null references productos (id), cantidad integer not null
);
insert into productos values (1, 'Manzanilla', 350), (2, 'Menta', 300), (3, 'Jengibre', 420);
insert into usuarios values (1, 'ana@puranatura.test'), (2, 'luis@puranatura.test');
with recursive n (i) as (select 1 union all select i + 1 from n where i < 150)
insert into pedidos select i, 1 + i % 2, 1 + i % 3, 1 + i % 4 from n;
