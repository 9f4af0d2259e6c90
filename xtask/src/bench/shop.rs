//! The data: a shop's SQLite database of 0.8 GB whose text compresses about four to one, and the same after
//! 4,000 random rows were changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::Size;
use super::scratch::Scratch;
use crate::failure::Failure;
use crate::step;

pub(super) const CHANGED: u32 = 4_000;

/// Before and after.
pub(super) struct States {
    pub(super) first: PathBuf,
    pub(super) second: PathBuf,
}

/// Makes both states, once.
pub(super) fn states(scratch: &Scratch, size: Size) -> Result<States, Failure> {
    let lines = match size {
        Size::Full => 3_750_000,
        Size::Small => 200_000,
    };
    let (first, second) = (first(lines), second(lines));
    let data = scratch.once("sqlite", &format!("{first}{second}"), |folder| {
        let database = folder.join("first.db");
        sqlite(&database, &first)?;
        let mut copy = Command::new("cp");
        step::run(copy.arg(&database).arg(folder.join("second.db")))?;
        sqlite(&folder.join("second.db"), &second)
    })?;
    Ok(States {
        first: data.join("first.db"),
        second: data.join("second.db"),
    })
}

fn sqlite(database: &Path, sql: &str) -> Result<(), Failure> {
    let mut sqlite = Command::new("sqlite3");
    step::output(sqlite.arg("-bail").arg(database).arg(sql)).map(drop)
}

/// Orders of about eight lines; every note is a few of a thousand phrases and a serial number.
fn first(lines: u64) -> String {
    let orders = lines / 8;
    format!(
        "pragma journal_mode = wal; pragma synchronous = off; pragma cache_size = -400000;
create table phrases (id integer primary key, text text);
with words(id, word) as (values
  (0, 'pedido'), (1, 'entrega'), (2, 'factura'), (3, 'cliente'), (4, 'camisa'), (5, 'zapatos'),
  (6, 'azul'), (7, 'verde'), (8, 'grande'), (9, 'urgente'))
insert into phrases
  select a.id * 100 + b.id * 10 + c.id, a.word || ' ' || b.word || ' ' || c.word ||
    ' de ' || b.word || ' y ' || a.word
  from words a, words b, words c;
create table orders (id integer primary key, placed_at text, customer integer, note text);
insert into orders
  select value, datetime(1700000000 + value * 37, 'unixepoch'), abs(random()) % 60000,
    (select text from phrases where id = (value * 2654435761 >> 5) % 1000)
  from generate_series(1, {orders});
create table order_lines (id integer primary key, order_id integer not null, product integer not null,
  quantity integer not null, cents integer not null, note text not null);
insert into order_lines
  select value, 1 + value / 8, abs(random()) % 20000, 1 + value % 5, 100 + abs(random()) % 90000,
    (select text from phrases where id = (value * 2654435761 >> 7) % 1000) || ' / ' ||
    (select text from phrases where id = (value * 40503 >> 3) % 1000) || ' ' || lower(hex(randomblob(4))) ||
    ' enviado desde el almacen central / ' || (select text from phrases where id = (value * 2246822519 >> 9) % 1000)
  from generate_series(1, {lines});
create index order_lines_by_order on order_lines (order_id);
pragma wal_checkpoint(truncate);"
    )
}

fn second(lines: u64) -> String {
    format!(
        "update order_lines set quantity = quantity + 1, cents = cents + 5
  where id in (select 1 + abs(random()) % {lines} from generate_series(1, {CHANGED}));
pragma wal_checkpoint(truncate);"
    )
}
