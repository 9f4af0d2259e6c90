-- Puede correr cuantas veces haga falta.
do $$
begin
  if not exists (select from pg_roles where rolname = 'inventario_app') then
    create role inventario_app login;
  end if;
end $$;
grant usage on schema public to inventario_app;
grant select, insert, update on all tables in schema public to inventario_app;
