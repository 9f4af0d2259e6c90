//! Rotating a writer: which sources are held meanwhile.

use resguardo_model::{RunId, SourceName};
use resguardo_ops::{ErrorKind, keys};
use resguardo_vault::{Lease, VaultError};

use crate::world::World;

fn shop() -> SourceName {
    "shop".parse().unwrap()
}

fn take_lease(world: &World) -> Result<Lease, VaultError> {
    let run = RunId(ulid::Ulid::from_parts(1, 1));
    let vault = world.vault_with(true, None);
    vault.acquire_lease(&shop(), run, "another", std::process::id())
}

#[test]
fn a_sources_first_backup_is_waited_for() {
    let world = World::new();
    let ctx = world.context();
    let backup = take_lease(&world).unwrap();
    let Err(refused) = keys::hold_all_sources(&ctx, []) else {
        panic!("held beside a run");
    };
    assert_eq!(refused.kind(), ErrorKind::Locked, "{refused}");
    drop(backup);
    keys::hold_all_sources(&ctx, []).unwrap();
}

#[test]
fn a_configured_source_begins_no_first_backup_while_a_key_is_replaced() {
    let world = World::new();
    let held = keys::hold_all_sources(&world.context(), [shop()]).unwrap();
    let refused = take_lease(&world).map(drop);
    assert!(
        matches!(refused, Err(VaultError::Locked { .. })),
        "{refused:?}"
    );
    drop(held);
    take_lease(&world).unwrap();
    world.assert_nothing_left();
}
