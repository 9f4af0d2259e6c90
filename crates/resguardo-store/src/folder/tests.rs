//! A folder without links, and what else the contract does not ask.

use super::*;

#[test]
fn the_systems_errors_have_their_names() {
    let named = |errno: rustix::io::Errno| from_io("put", "a", errno.into());
    use rustix::io::Errno;
    for full in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
        assert!(matches!(named(full), StoreError::Full { .. }), "{full:?}");
    }
    for denied in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
        assert!(
            matches!(named(denied), StoreError::Denied { .. }),
            "{denied:?}"
        );
    }
    for passing in [Errno::INTR, Errno::TIMEDOUT, Errno::STALE] {
        assert!(!named(passing).is_permanent(), "{passing:?}");
    }
    assert!(matches!(
        named(Errno::IO),
        StoreError::Other {
            operation: "put",
            ..
        }
    ));
    assert!(matches!(
        named(Errno::NOTSUP),
        StoreError::Unsupported { .. }
    ));
}
