//! The PostgreSQL engine from outside, against real servers of several majors.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test: files, processes and servers of its own"
)]

/// SQL that makes a little of everything that a backup has to hold.
macro_rules! a_little_of_everything {
    () => {
        r#"
    create table public."odd ""name' \ ñ" ("select" int, "a b" text);
    insert into public."odd ""name' \ ñ" values (1, E'tab\t newline\n back\\ null'), (null, null), (null, '');
    create table empty (x int);
    create table no_columns ();
    insert into no_columns select from generate_series(1, 3);
    create table events (at date, what text) partition by range (at);
    create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
    create table events_rest partition of events default;
    insert into events select '2025-06-01'::date + i, i from generate_series(1, 500) i;
    create table parent (a int); create table child (b int) inherits (parent);
    insert into parent values (1), (1); insert into child values (2, 3);
    create unlogged table quick (a int); insert into quick values (7);
    create materialized view totals as select count(*) as n from events;
    create sequence free start 5 increment 7; select nextval('free'), nextval('free');
    create sequence untouched;
    select lo_from_bytea(70001, '\x00ff00'), lo_from_bytea(70002, ''), lo_from_bytea(70003, decode(repeat('ab', 600000), 'hex'));
    create extension resguardo_fixture;
"#
    };
}

mod capture;
mod check;
mod connection;
mod contract;
mod drill;
mod elsewhere;
mod export;
mod foreign;
mod full_disk;
mod maintenance;
mod probe;
mod properties;
mod restore;
mod restore_damaged;
mod restore_part;
mod restore_refused;
mod sandbox;
mod source_errors;
mod statement;
mod target;
mod way_back;
mod world;
