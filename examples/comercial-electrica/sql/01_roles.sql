-- Puede correr cuantas veces haga falta.
do $$
begin
  if not exists (select from pg_roles where rolname = 'comercial_app') then
    create role comercial_app login;
  end if;
end $$;
grant usage on schema public to comercial_app;
grant select, insert, update, delete on all tables in schema public to comercial_app;
