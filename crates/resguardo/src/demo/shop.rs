//! The demo's database: a SQLite shop in WAL mode, a few megabytes, the same on every machine.
//!
//! INVARIANT: each order's total is the sum of its lines, and a paid order has one payment of that
//! amount; the demo's own checks ask for both. Guarded by `the_shop_keeps_its_books`.

use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::random::Random;
use super::words::{CITIES, FIRST_NAMES, LAST_NAMES, METHODS, PRODUCTS, SIZES};

const SCHEMA: &str = "
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
  city TEXT NOT NULL, country TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE products (
  id INTEGER PRIMARY KEY, sku TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  description_es TEXT NOT NULL, description_en TEXT NOT NULL,
  price_cents INTEGER NOT NULL CHECK (price_cents > 0), stock INTEGER NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id),
  status TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'shipped', 'cancelled')),
  placed_at TEXT NOT NULL, total_cents INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '');
CREATE TABLE order_lines (
  order_id INTEGER NOT NULL REFERENCES orders(id), line INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES products(id),
  quantity INTEGER NOT NULL CHECK (quantity > 0), price_cents INTEGER NOT NULL,
  PRIMARY KEY (order_id, line)) WITHOUT ROWID;
CREATE TABLE payments (
  id INTEGER PRIMARY KEY AUTOINCREMENT, order_id INTEGER NOT NULL UNIQUE REFERENCES orders(id),
  method TEXT NOT NULL, amount_cents INTEGER NOT NULL, reference TEXT NOT NULL, paid_at TEXT NOT NULL);
CREATE INDEX orders_by_customer ON orders(customer_id, placed_at);
CREATE INDEX lines_by_product ON order_lines(product_id);
CREATE VIEW revenue_by_country AS
  SELECT c.country, count(*) AS orders, sum(o.total_cents) AS total_cents
  FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.status <> 'cancelled' GROUP BY c.country;
";

/// How much is in the shop on its first day.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// Customers.
    pub customers: u32,
    /// Products.
    pub products: u32,
    /// Orders.
    pub orders: u32,
}

/// The demo's shop: some six megabytes.
pub const DEMO: Amounts = Amounts {
    customers: 4_000,
    products: 320,
    orders: 20_000,
};

/// The shop: its open database, as an application would hold it.
pub struct Shop {
    connection: Connection,
    random: Random,
    amounts: Amounts,
    next_order: u32,
}

impl Shop {
    /// Makes the database at `path`, which must not exist.
    ///
    /// # Errors
    /// If SQLite cannot write there.
    pub fn create(path: &Path, amounts: Amounts) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(SCHEMA)?;
        let mut shop = Self {
            connection,
            random: Random::new(2026),
            amounts,
            next_order: 1,
        };
        shop.fill()?;
        shop.add_orders(amounts.orders)?;
        Ok(shop)
    }

    fn fill(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let random = &mut self.random;
        for id in 1..=self.amounts.customers {
            let (first, last) = (random.pick(FIRST_NAMES), random.pick(LAST_NAMES));
            let (city, country) = random.pick(CITIES);
            let email = format!("cliente{id}@tienda.test");
            transaction
                .prepare_cached("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    id,
                    format!("{first} {last}"),
                    email,
                    city,
                    country,
                    moment(id, 3_600),
                ])?;
        }
        for id in 1..=self.amounts.products {
            let (name, es, en) = random.pick(PRODUCTS);
            let size = random.pick(SIZES);
            transaction
                .prepare_cached("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    id,
                    format!("PN-{id:05}"),
                    format!("{name}, {size}"),
                    es,
                    en,
                    random.between(150, 9_000),
                    random.between(0, 400),
                ])?;
        }
        transaction.commit()
    }

    /// New orders arrive, with their lines and payments.
    ///
    /// # Errors
    /// If SQLite cannot write.
    pub fn add_orders(&mut self, count: u32) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for id in self.next_order..self.next_order + count {
            add_order(&transaction, &mut self.random, self.amounts, id)?;
        }
        transaction.commit()?;
        self.next_order += count;
        Ok(())
    }

    /// The disaster: somebody forgets the WHERE, and drops a table for good measure. Returns how many
    /// orders are wrong now.
    ///
    /// # Errors
    /// If SQLite cannot write.
    pub fn disaster(&mut self) -> rusqlite::Result<u64> {
        self.connection.pragma_update(None, "foreign_keys", false)?;
        let changed = self.connection.execute(
            "UPDATE orders SET status = 'cancelled', total_cents = 0",
            [],
        )?;
        self.connection.execute_batch("DROP TABLE payments")?;
        Ok(changed as u64)
    }

    /// Ends the application's connection.
    ///
    /// # Errors
    /// If SQLite cannot close.
    pub fn close(self) -> rusqlite::Result<()> {
        self.connection.close().map_err(|(_, error)| error)
    }
}

/// What a person would ask to see that all is well: orders, payments, revenue in cents.
///
/// # Errors
/// If the database is not the shop.
pub fn summary(path: &Path) -> rusqlite::Result<(i64, i64, i64)> {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.query_row(
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM payments),
                (SELECT sum(total_cents) FROM orders WHERE status <> 'cancelled')",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

fn add_order(
    transaction: &Transaction<'_>,
    random: &mut Random,
    amounts: Amounts,
    id: u32,
) -> rusqlite::Result<()> {
    let status = *random.pick(&[
        "paid",
        "shipped",
        "shipped",
        "shipped",
        "pending",
        "cancelled",
    ]);
    let customer = random.between(1, amounts.customers + 1);
    let placed_at = moment(id, 731);
    transaction
        .prepare_cached("INSERT INTO orders (id, customer_id, status, placed_at, total_cents) VALUES (?, ?, ?, ?, 0)")?
        .execute(params![id, customer, status, placed_at])?;
    let mut total = 0;
    for line in 1..=random.between(1, 6) {
        let (quantity, price) = (random.between(1, 5), random.between(150, 9_000));
        total += quantity * price;
        transaction
            .prepare_cached("INSERT INTO order_lines VALUES (?, ?, ?, ?, ?)")?
            .execute(params![
                id,
                line,
                random.between(1, amounts.products + 1),
                quantity,
                price,
            ])?;
    }
    transaction
        .prepare_cached("UPDATE orders SET total_cents = ? WHERE id = ?")?
        .execute(params![total, id])?;
    if matches!(status, "paid" | "shipped") {
        let reference = format!("{:016x}", random.bits());
        transaction
            .prepare_cached(
                "INSERT INTO payments (order_id, method, amount_cents, reference, paid_at) VALUES (?, ?, ?, ?, ?)",
            )?
            .execute(params![id, random.pick(METHODS), total, reference, placed_at])?;
    }
    Ok(())
}

/// The `n`th moment of the shop's life, `step` seconds apart.
fn moment(n: u32, step: u32) -> String {
    let start: jiff::Timestamp = "2025-01-02T08:00:00Z".parse().expect("a literal");
    (start + jiff::SignedDuration::from_secs(i64::from(n) * i64::from(step))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_keeps_its_books() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.sqlite");
        let amounts = Amounts {
            customers: 20,
            products: 10,
            orders: 100,
        };
        let mut shop = Shop::create(&path, amounts).unwrap();
        shop.add_orders(7).unwrap();
        let wrong: i64 = shop
            .connection
            .query_row(
                "SELECT count(*) FROM orders o WHERE total_cents <>
                   (SELECT sum(quantity * price_cents) FROM order_lines l WHERE l.order_id = o.id)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(wrong, 0);
        assert_eq!(summary(&path).unwrap().0, 107);
        assert_eq!(shop.disaster().unwrap(), 107);
        shop.close().unwrap();
    }
}
