//! What no backup needs: told with its bytes, and no finding.

use resguardo_ops::verify::{self, Depth, Scope, VerifyRequest};
use resguardo_store::Store as _;

use crate::world::World;

#[test]
fn what_no_backup_needs_is_told_and_is_no_finding() {
    let world = World::new();
    let ctx = world.context();
    let taken = world.back_up();
    world.later(1);
    world.back_up();
    let put = |key: &resguardo_store::Key, bytes: Vec<u8>| {
        let always = resguardo_store::Condition::Always;
        world.store.put(key, bytes.into(), always).unwrap();
    };
    let look = |scope: Scope| {
        let depth = Depth::Heads;
        verify::verify(&ctx, &VerifyRequest { scope, depth }).unwrap()
    };
    assert_eq!(look(Scope::All).orphans, []);
    let bytes = b"what a run left that died".to_vec();
    let sha256 = resguardo_model::Sha256Digest::of(&bytes);
    let key = format!("shop/packs/{sha256}.age").parse().unwrap();
    put(&key, bytes);
    let done = look(Scope::All);
    assert_eq!(done.findings.findings, []);
    let (source, dead) = &done.orphans[0];
    assert_eq!((source.as_str(), dead.objects, dead.bytes), ("shop", 1, 25));
    assert!(done.notes[0].contains("1 object"), "{:?}", done.notes);
    let one = look(Scope::Backup(taken.id.to_string().parse().unwrap()));
    assert_eq!(one.orphans, []);
    // A head that cannot be read may need it.
    let head = format!("shop/snapshots/{}.head.json", taken.id);
    let head = head.parse().unwrap();
    let mut bytes = world.store.get(&head).unwrap().to_vec();
    bytes[40] ^= 1;
    put(&head, bytes);
    assert_eq!(look(Scope::All).orphans, []);
}
