-- El rol que saca los respaldos: solo lee. En el servidor de verdad se le da además una contraseña.
do $$
begin
  if not exists (select from pg_roles where rolname = 'respaldo') then
    create role respaldo login;
  end if;
end $$;
grant pg_read_all_data to respaldo;
