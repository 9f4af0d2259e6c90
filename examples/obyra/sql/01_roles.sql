-- Provisión, primera parte: los roles. Puede correr cuantas veces haga falta.
do $$
declare
  rol text;
begin
  foreach rol in array array['obyra_migrator', 'obyra_app', 'obyra_readonly'] loop
    if not exists (select from pg_roles where rolname = rol) then
      execute format('create role %I', rol);
    end if;
  end loop;
end $$;
