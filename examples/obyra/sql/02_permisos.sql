-- Provisión, segunda parte: permisos y search_path. Puede correr cuantas veces haga falta.
do $$
begin
  execute format('alter database %I set search_path = app, public', current_database());
end $$;
grant usage, create on schema app to obyra_migrator;
grant usage on schema app to obyra_app, obyra_readonly;
grant select, insert, update, delete on all tables in schema app to obyra_migrator, obyra_app;
grant select on all tables in schema app to obyra_readonly;
