//! The roles that a database's owners and grants need, with those that these are members of, and those
//! that act through them. Their passwords are nobody's business here.

use crate::port::EngineError;
use crate::postgres::inventory::Role;
use crate::postgres::name;
use crate::postgres::session::{Row, Session};

/// Finds the roles: first those that own, are granted or are named in a policy (`pg_shdepend`; the
/// cluster's first role, number 10, is in no such list and is looked for in every catalog), then all that they are members of, and the members of those
/// that are not the server's own.
const NEEDED: &str = "with recursive base(oid) as ( \
      select d.refobjid from pg_shdepend d join pg_database b on b.datname = current_database() \
        where d.refclassid = 'pg_authid'::regclass and (d.dbid = b.oid \
          or d.dbid = 0 and d.classid = 'pg_database'::regclass and d.objid = b.oid) \
      union select b.datdba from pg_database b where b.datname = current_database() \
      union select s.setrole from pg_db_role_setting s join pg_database b on b.oid = s.setdatabase \
        where b.datname = current_database() and s.setrole <> 0 \
      union select 10::oid where \
        exists (select from pg_class where oid >= 16384 and relowner = 10) \
        or exists (select from pg_proc where oid >= 16384 and proowner = 10) \
        or exists (select from pg_namespace where nspowner = 10 and (oid >= 16384 \
          or oid = 2200 and current_setting('server_version_num')::int >= 150000)) \
        or exists (select from pg_type where oid >= 16384 and typowner = 10) \
        or exists (select from pg_operator where oid >= 16384 and oprowner = 10) \
        or exists (select from pg_opclass where oid >= 16384 and opcowner = 10) \
        or exists (select from pg_opfamily where oid >= 16384 and opfowner = 10) \
        or exists (select from pg_collation where oid >= 16384 and collowner = 10) \
        or exists (select from pg_conversion where oid >= 16384 and conowner = 10) \
        or exists (select from pg_ts_dict where oid >= 16384 and dictowner = 10) \
        or exists (select from pg_ts_config where oid >= 16384 and cfgowner = 10) \
        or exists (select from pg_language where oid >= 16384 and lanowner = 10) \
        or exists (select from pg_foreign_data_wrapper where oid >= 16384 and fdwowner = 10) \
        or exists (select from pg_foreign_server where srvowner = 10) \
        or exists (select from pg_publication where pubowner = 10) \
        or exists (select from pg_statistic_ext where stxowner = 10) \
        or exists (select from pg_event_trigger where evtowner = 10) \
        or exists (select from pg_largeobject_metadata where lomowner = 10) \
        or exists (select from pg_default_acl where defaclrole = 10) \
        or exists (select from ( \
            select relowner, relacl from pg_class union all \
            select c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid union all \
            select proowner, proacl from pg_proc union all select nspowner, nspacl from pg_namespace union all \
            select typowner, typacl from pg_type union all select lanowner, lanacl from pg_language union all \
            select fdwowner, fdwacl from pg_foreign_data_wrapper union all \
            select srvowner, srvacl from pg_foreign_server union all \
            select lomowner, lomacl from pg_largeobject_metadata union all \
            select defaclrole, defaclacl from pg_default_acl union all \
            select datdba, datacl from pg_database where datname = current_database() \
          ) granted(owner, acl), aclexplode(acl) each \
          where acl is not null and owner <> 10 and each.grantee = 10)), \
    members(oid) as ( \
      select oid from base union \
      select m.member from members s join pg_auth_members m on m.roleid = s.oid where s.oid >= 16384), \
    needed(oid) as ( \
      select oid from members union \
      select m.roleid from needed s join pg_auth_members m on m.member = s.oid) ";

/// A role with the settings it logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct NamedRole {
    pub(in crate::postgres) name: String,
    /// As `CREATE ROLE` takes them.
    pub(in crate::postgres) attributes: String,
    /// `search_path=…`, as `pg_db_role_setting` holds them, for all databases.
    pub(in crate::postgres) settings: Vec<String>,
}

/// Who is a member of which role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Membership {
    pub(in crate::postgres) member: String,
    pub(in crate::postgres) role: String,
    /// Words after `WITH`: `ADMIN OPTION`, or since 16 `ADMIN OPTION, INHERIT FALSE`.
    pub(in crate::postgres) options: String,
}

/// Roles with attributes, settings and memberships, in the order of their names.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn roles(session: &Session) -> Result<Vec<Role>, EngineError> {
    Ok(joined(named_roles(session)?, &memberships(session)?))
}

/// The same of those of `names` that are there, whether or not the database needs them.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn roles_of(
    session: &Session,
    names: &[&str],
) -> Result<Vec<Role>, EngineError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = names.iter().map(|role| name::literal(role)).collect();
    let names = names.join(", ");
    let named = ask_roles(session, "", &format!("r.rolname in ({names})"))?;
    let memberships = ask_memberships(session, "", &format!("m.rolname in ({names})"))?;
    Ok(joined(named, &memberships))
}

fn joined(named: Vec<NamedRole>, memberships: &[Membership]) -> Vec<Role> {
    let role = |role: NamedRole| {
        let mine = || memberships.iter().filter(|m| m.member == role.name);
        let with_options = mine().filter(|m| !m.options.is_empty());
        Role {
            member_of: mine().map(|m| m.role.clone()).collect(),
            member_options: with_options
                .map(|m| (m.role.clone(), m.options.clone()))
                .collect(),
            name: role.name,
            attributes: role.attributes,
            settings: role.settings,
        }
    };
    named.into_iter().map(role).collect()
}

/// The roles themselves, without the server's own (`pg_read_all_data`, …), in the order of their names.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn named_roles(session: &Session) -> Result<Vec<NamedRole>, EngineError> {
    let condition = "r.oid in (select oid from needed) and r.rolname !~ '^pg_'";
    ask_roles(session, NEEDED, condition)
}

fn ask_roles(
    session: &Session,
    with: &str,
    condition: &str,
) -> Result<Vec<NamedRole>, EngineError> {
    let rows = session.rows(&format!(
        "{with} select r.rolname, \
           concat_ws(' ', case when r.rolsuper then 'SUPERUSER' else 'NOSUPERUSER' end, \
             case when r.rolinherit then 'INHERIT' else 'NOINHERIT' end, \
             case when r.rolcreaterole then 'CREATEROLE' else 'NOCREATEROLE' end, \
             case when r.rolcreatedb then 'CREATEDB' else 'NOCREATEDB' end, \
             case when r.rolcanlogin then 'LOGIN' else 'NOLOGIN' end, \
             case when r.rolreplication then 'REPLICATION' else 'NOREPLICATION' end, \
             case when r.rolbypassrls then 'BYPASSRLS' else 'NOBYPASSRLS' end, \
             case when r.rolconnlimit >= 0 then 'CONNECTION LIMIT ' || r.rolconnlimit end, \
             'VALID UNTIL ' || quote_literal(r.rolvaliduntil)), \
           (select json_agg(u.setting) from pg_db_role_setting s, unnest(s.setconfig) u(setting) \
            where s.setrole = r.oid and s.setdatabase = 0) \
         from pg_roles r where {condition} order by 1"
    ))?;
    let role = |row: &Row| NamedRole {
        name: row.text(0).to_owned(),
        attributes: row.text(1).to_owned(),
        settings: row
            .optional(2)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default(),
    };
    Ok(rows.iter().map(role).collect())
}

/// The memberships of these roles, also in the server's own.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn memberships(session: &Session) -> Result<Vec<Membership>, EngineError> {
    let condition = "m.oid in (select oid from needed) and m.rolname !~ '^pg_' \
           and (r.oid in (select oid from needed) or r.rolname ~ '^pg_')";
    ask_memberships(session, NEEDED, condition)
}

fn ask_memberships(
    session: &Session,
    with: &str,
    condition: &str,
) -> Result<Vec<Membership>, EngineError> {
    let options = if session.version().major() >= 16 {
        "concat_ws(', ', case when bool_or(a.admin_option) then 'ADMIN OPTION' end, \
           case when not bool_or(a.inherit_option) then 'INHERIT FALSE' \
             when not m.rolinherit then 'INHERIT TRUE' end, \
           case when not bool_or(a.set_option) then 'SET FALSE' end)"
    } else {
        "case when bool_or(a.admin_option) then 'ADMIN OPTION' end"
    };
    let rows = session.rows(&format!(
        "{with} select m.rolname, r.rolname, {options} from pg_auth_members a \
           join pg_roles m on m.oid = a.member join pg_roles r on r.oid = a.roleid \
         where {condition} group by 1, 2, m.rolinherit order by 1, 2"
    ))?;
    let membership = |row: &Row| Membership {
        member: row.text(0).to_owned(),
        role: row.text(1).to_owned(),
        options: row.text(2).to_owned(),
    };
    Ok(rows.iter().map(membership).collect())
}

/// Tablespaces that this database lies in, other than the server's own.
///
/// # Errors
/// If they cannot be asked for.
pub(in crate::postgres) fn tablespaces(session: &Session) -> Result<Vec<String>, EngineError> {
    let rows = session.rows(
        "select t.spcname from pg_tablespace t where t.spcname !~ '^pg_' and (t.oid in \
           (select c.reltablespace from pg_class c) or t.oid = (select d.dattablespace from pg_database d \
           where d.datname = current_database())) order by 1",
    )?;
    Ok(rows.iter().map(|row| row.text(0).to_owned()).collect())
}

impl NamedRole {
    /// The statement that makes it.
    pub(in crate::postgres) fn create(&self) -> String {
        format!(
            "CREATE ROLE {} WITH {}",
            name::identifier(&self.name),
            self.attributes
        )
    }
}
