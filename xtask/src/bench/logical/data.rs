//! The data: rows of `pgbench`, JSON documents and a partitioned table, 1.4 GB with their indexes; the same after
//! a thousandth of all rows was changed at random; after a hundredth of the newest tenth's rows was changed;
//! and after a hundredth of all rows was changed, all among the newest tenth. Nothing of it is drawn by lot: every value is a hash of its row's number.

use std::path::{Path, PathBuf};

use super::super::plan::Size;
use super::super::scratch::{self, Scratch};
use super::super::server::Server;
use crate::failure::Failure;
use crate::step;

/// The database.
pub(super) const DATABASE: &str = "shop";

/// Four stopped clusters.
pub(super) struct States {
    pub(super) first: PathBuf,
    pub(super) random: PathBuf,
    pub(super) few_newest: PathBuf,
    pub(super) newest: PathBuf,
}

/// Their folders; the others are made from the first, so that no change finds room that another one left.
const STATES: [&str; 4] = ["first", "random", "few-newest", "newest"];

/// How many rows.
struct Rows {
    /// Hundred thousands of `pgbench`'s accounts.
    scale: u64,
    documents: u64,
    /// Of each of the twelve months.
    events: u64,
}

const SETTINGS: &str = "\n\
    listen_addresses = ''\n\
    autovacuum = off\n\
    fsync = off\n\
    full_page_writes = off\n\
    wal_level = minimal\n\
    max_wal_senders = 0\n\
    min_wal_size = 2MB\n\
    max_wal_size = 64MB\n\
    shared_buffers = 512MB\n\
    maintenance_work_mem = 512MB\n";

/// `pgbench` fills its rows with blanks: words and digits instead.
const FILLER: &str = "alter table pgbench_accounts alter filler type char(84) using \
    left(md5(aid::text), 20) || ' ' || \
    (array['pendiente', 'pagado', 'enviado', 'devuelto', 'en reparto', 'anulado', 'entregado', 'en aduana']) \
        [1 + (hashint4(aid) & 7)] || ' calle ' || \
    (array['de la Paz', 'del Mercado', 'Mayor', 'de los Olivos', 'San Martin', 'del Puerto', 'Nueva', 'Real']) \
        [1 + (hashint4(aid + 1) & 7)]";

const WORD: &str = "create function word(n integer) returns text language sql immutable as $$ select \
    (array['pedido', 'entrega', 'factura', 'cliente', 'camisa', 'zapatos', 'azul', 'verde', 'grande', 'urgente', \
        'almacen', 'regalo', 'central', 'norte', 'taller', 'envio']) [1 + (hashint4(n) & 15)] $$";

const DOCUMENTS: &str = "create table documents (id integer primary key, tenant integer not null, body jsonb not null); \
    insert into documents select i, hashint4(i) & 511, jsonb_build_object( \
        'number', 'P-' || i, 'state', word(i), 'key', md5(i::text), \
        'customer', jsonb_build_object('name', word(i + 1) || ' ' || word(i * 3), 'mail', word(i + 2) || (hashint4(i) & 65535) || '@example.org', \
            'address', 'calle ' || word(i * 5) || ' ' || (i & 255)), \
        'lines', (select jsonb_agg(jsonb_build_object('product', hashint4(i * 4 + n) & 32767, 'cents', hashint4(i + n) & 65535, \
            'quantity', 1 + (n & 3), 'note', word(i + n) || ' ' || word(i * n) || ' ' || left(md5((i * 8 + n)::text), 8))) from generate_series(1, 4) as n), \
        'tags', jsonb_build_array(word(i * 7), word(i * 11)), 'paid', i % 3 = 0) \
    from generate_series(1, :documents) as i; \
    create index documents_by_tenant on documents (tenant, id); \
    create index documents_by_content on documents using gin (body jsonb_path_ops)";

const EVENTS: &str = "create table events (id bigint not null, at timestamp not null, kind text not null, customer integer not null, \
        amount numeric(12, 2) not null, note text, primary key (at, id)) partition by range (at); \
    select format('create table events_%s partition of events for values from (%L) to (%L)', m, \
        timestamp '2025-01-01' + m * interval '1 month', timestamp '2025-02-01' + m * interval '1 month') from generate_series(0, 11) as m \\gexec\n\
    insert into events select m * :events + i, timestamp '2025-01-01' + m * interval '1 month' + i * (interval '28 days' / :events), \
        word(i), hashint8(m * :events + i) & 65535, (hashint8(i) & 1048575) / 100.0, word(i + 1) || ' ' || word(i * 3) || ' ' || left(md5((m * :events + i)::text), 12) \
        from generate_series(0, 11) as m, generate_series(1, :events) as i; \
    create index events_by_customer on events (customer, at)";

/// Makes all four, once.
pub(super) fn states(scratch: &Scratch, size: Size) -> Result<States, Failure> {
    let rows = match size {
        Size::Full => Rows {
            scale: 35,
            documents: 360_000,
            events: 250_000,
        },
        Size::Small => Rows {
            scale: 1,
            documents: 5_000,
            events: 4_000,
        },
    };
    let changes = [random(), newest(&rows, 100), newest(&rows, 10)];
    let script = script(&rows);
    let recipe = format!(
        "pgbench -s {}\n{script}\neach from the first:\n{}\n{SETTINGS}",
        rows.scale,
        changes.join("\n")
    );
    let data = scratch.once("logical", &recipe, |folder| {
        make(folder, rows.scale, &script, &changes)
    })?;
    let [first, random, few_newest, newest] = STATES.map(|name| data.join(name));
    Ok(States {
        first,
        random,
        few_newest,
        newest,
    })
}

fn make(folder: &Path, scale: u64, script: &str, changes: &[String; 3]) -> Result<(), Failure> {
    let server = Server::of(folder)?;
    server.init(SETTINGS, 1)?;
    server.start()?;
    let scale = scale.to_string();
    step::run(&mut server.psql("postgres", &[&format!("create database {DATABASE}")]))?;
    server.pgbench(DATABASE, &["-i", "-I", "dtg", "-q", "-s", &scale])?;
    let path = folder.join("data.sql");
    scratch::write(&path, script)?;
    step::run(server.psql(DATABASE, &[]).arg("-f").arg(&path))?;
    server.pgbench(DATABASE, &["-i", "-I", "p", "-q", "-s", &scale])?;
    step::run(&mut server.psql(DATABASE, &["vacuum (freeze, analyze)"]))?;
    server.stop()?;
    let first = folder.join(STATES[0]);
    rename(&server.data(), &first)?;
    for (change, state) in changes.iter().zip(&STATES[1..]) {
        server.copy(&first)?;
        server.start()?;
        step::run(&mut server.psql(DATABASE, &[change, "vacuum"]))?;
        server.stop()?;
        rename(&server.data(), &folder.join(state))?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::rename(from, to).map_err(|source| Failure::Write {
        path: to.to_owned(),
        source,
    })
}

fn script(rows: &Rows) -> String {
    format!(
        "\\set documents {}\n\\set events {}\n{FILLER};\n{WORD};\n{DOCUMENTS};\n{EVENTS};\n",
        rows.documents, rows.events
    )
}

/// Changes every thousandth row, wherever its hash puts it.
fn random() -> String {
    change(
        "hashint4(aid) % 1000 = 0",
        "hashint4(id) % 1000 = 0",
        "hashint8(id) % 1000 = 0",
    )
}

/// Changes one in `every` rows of the newest tenth.
fn newest(rows: &Rows, every: u32) -> String {
    let [accounts, documents] = [rows.scale * 100_000, rows.documents].map(|count| count / 10 * 9);
    // Of twelve months.
    let events = rows.events * 12 / 10 * 9;
    change(
        &format!("aid > {accounts} and hashint4(aid + 7) % {every} = 0"),
        &format!("id > {documents} and hashint4(id + 7) % {every} = 0"),
        &format!("id > {events} and hashint8(id + 7) % {every} = 0"),
    )
}

fn change(accounts: &str, documents: &str, events: &str) -> String {
    format!(
        "update pgbench_accounts set abalance = abalance + 1 where {accounts}; \
         update documents set body = jsonb_set(body, '{{state}}', '\"cambiado\"') where {documents}; \
         update events set amount = amount + 1 where {events}"
    )
}

/// What must be the same in a database that came back: a row for each table, and the number of sound indexes.
pub(super) const FINGERPRINT: &str = "\
    select 'accounts', count(*), sum(hashtextextended(t::text, 0)) from pgbench_accounts as t \
    union all select 'documents', count(*), sum(hashtextextended(t::text, 0)) from documents as t \
    union all select 'events', count(*), sum(hashtextextended(t::text, 0)) from events as t \
    union all select 'indexes', count(*), 0 from pg_index join pg_class on pg_class.oid = indexrelid \
        where indisvalid and relnamespace = 'public'::regnamespace";

/// The data in words and numbers.
pub(super) fn described(live: &Server) -> Result<String, Failure> {
    let question = "select round(pg_database_size(current_database()) / 1e6) || ' MB, of which ' || \
        round(sum(pg_table_size(oid)) / 1e6) || ' MB are tables and ' || \
        round(sum(pg_indexes_size(oid)) / 1e6) || ' MB indexes; ' || \
        round(sum(reltuples)::numeric / 1e6, 1) || ' million rows' \
        from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
    let answer = step::output(&mut live.psql(DATABASE, &[question]))?;
    Ok(answer.trim().to_owned())
}
