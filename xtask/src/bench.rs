//! `cargo xtask bench`: measures Resguardo against its peers and writes the figures into
//! `docs/benchmarks.md`.
//!
//! Only what was measured in this run is written; a part that was not asked for keeps its figures. The
//! data is made once, below `target/bench`, and used again. Nothing of this runs in CI: the figures need
//! a machine that does nothing else.

mod contest;
mod listing;
mod logical;
mod machine;
mod measure;
mod memory;
mod overview;
mod page;
mod plan;
mod postgres;
mod product;
mod scale;
mod scratch;
mod server;
mod shop;
mod sqlite;
mod year;

use crate::failure::Failure;
use crate::tools::{Install, Tools, User};
use crate::workspace;
use plan::{Part, Plan};
use product::Product;
use scratch::Scratch;

pub(crate) const USAGE: &str = "bench [pg|logical|sqlite|memory|list|overview|year|scale|all] [--runs N] [--size small] [--gib-max N] [--built] [--no-install]\n                                            \
    speed, bytes and memory against the peers, into docs/benchmarks.md";

pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(words)?;
    let root = workspace::root();
    let install = if plan.no_install {
        Install::Nothing
    } else {
        Install::Missing
    };
    Tools::of(&root).ensure(User::Benchmarks, install)?;
    let product = if plan.built {
        Product::built(&root)?
    } else {
        Product::build(&root)?
    };
    let scratch = Scratch::below(&root, plan.size)?;
    for part in &plan.parts {
        let figures = match part {
            Part::Postgres => postgres::run(&plan, &product, &scratch),
            Part::Logical => logical::run(&plan, &product, &scratch),
            Part::Sqlite => sqlite::run(&plan, &product, &scratch),
            Part::Memory => memory::run(&plan, &product, &scratch),
            Part::List => listing::run(&plan, &product, &scratch),
            Part::Overview => overview::run(&plan, &product, &scratch),
            Part::Year => year::run(&plan, &product, &scratch),
            Part::Scale => scale::run(&plan, &product, &scratch),
        }?;
        let block = format!(
            "{figures}\n{}\n",
            machine::line(&plan, *part, product.commit())?
        );
        println!("\n{block}");
        if plan.size == plan::Size::Full {
            page::write(&root, *part, &block)?;
        } else {
            eprintln!(
                "xtask: figures of small data say nothing: docs/benchmarks.md stays as it is"
            );
        }
    }
    Ok(())
}
