//! A malicious vault: signed by somebody who is trusted, made to harm whoever reads it. Every attempt is
//! an error or a finding and nothing else: nothing is written outside, no memory is filled, nothing panics.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

mod forge;
mod rig;

use forge::{
    CONTENT, Forgery, assert_found, file_line, frame, newest, object_of, put, put_head, refused,
    restored, seal,
};
use resguardo_model::head::IndexRef;
use resguardo_model::{CancelToken, FindingKind, NoProgress, ObjectRef, Sha256Digest};
use resguardo_store::{Condition, Store as _};
use resguardo_vault::{Depth, Selection, VaultError};
use rig::{Files, Rig, assert_restores, back_up, backup_id, pages};

#[test]
fn the_forger_can_make_a_sound_snapshot() {
    let rig = Rig::new();
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    assert_eq!(restored(&rig).unwrap(), CONTENT);
    let found = rig
        .vault()
        .verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    assert_eq!((found.findings, found.whole), (vec![], vec![backup_id(1)]));
}

#[test]
fn paths_that_leave_the_folder() {
    let long = "a/".repeat(600);
    for path in [
        "../out",
        "..",
        "/etc/cron.d/x",
        "a/../../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "",
        "a\\..\\b",
        "a\nb",
        "a\u{0}b",
        &long,
    ] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.lines[0] = file_line(path, CONTENT.len() as u64, CONTENT);
        forgery.put(&rig);
        assert_eq!(
            refused(&rig).kind,
            FindingKind::ManifestMalformed,
            "{path:?}"
        );
        assert_found(&rig, Depth::Structure, FindingKind::ManifestMalformed);
    }
}

#[test]
fn one_path_twice_and_files_out_of_order() {
    let size = CONTENT.len() as u64;
    for second in ["file", "a"] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        let extents = forgery.lines[1].clone();
        forgery.lines.insert(2, file_line(second, size, CONTENT));
        forgery.lines.insert(3, extents);
        forgery.lines[4] = "{\"end\":{\"files\":2,\"extents\":2}}".to_owned();
        forgery.put(&rig);
        assert!(refused(&rig).message.contains("out of order"));
    }
}

#[test]
fn extents_that_do_not_fit() {
    let max = u64::MAX;
    for extents in [
        format!("[0,{max},0,0,0]"),
        format!("[{max},16,0,0,0]"),
        "[0,16,1,0,0]".to_owned(),
        "[0,16,4294967295,0,0]".to_owned(),
        "[0,16,0,0,4294967295]".to_owned(),
        "[0,16,0,0,4194304]".to_owned(),
        "[0,8,0,0,0],[4,12,0,0,4]".to_owned(),
        "[0,8,0,0,0],[9,7,0,0,9]".to_owned(),
        "[0,8,0,0,0],[8,0,0,0,8],[8,8,0,0,8]".to_owned(),
        "[0,-16,0,0,0]".to_owned(),
        "[0,1e3,0,0,0]".to_owned(),
        "[0,16,0,0]".to_owned(),
    ] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.lines[1] = format!("{{\"extents\":[{extents}]}}");
        let count = extents.matches('[').count();
        forgery.lines[2] = format!("{{\"end\":{{\"files\":1,\"extents\":{count}}}}}");
        forgery.put(&rig);
        assert_eq!(
            refused(&rig).kind,
            FindingKind::ManifestMalformed,
            "{extents}"
        );
    }
}

#[test]
fn extents_that_point_beside_a_frame() {
    for extent in [
        "[0,16,0,1,0]",
        "[0,16,0,65535,0]",
        "[0,16,0,0,1]",
        "[0,16,0,0,4000000]",
    ] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.lines[1] = format!("{{\"extents\":[{extent}]}}");
        forgery.put(&rig);
        assert!(
            matches!(restored(&rig), Err(VaultError::Damaged(finding)) if finding.kind == FindingKind::PackUnreadable),
            "{extent}"
        );
        assert_found(&rig, Depth::Structure, FindingKind::ManifestMalformed);
    }
}

#[test]
fn a_file_that_says_to_be_enormous() {
    let rig = Rig::new();
    for (number, size) in [(1, 1 << 62), (2, u64::MAX)] {
        let mut forgery = Forgery::of(&rig, number, CONTENT);
        forgery.lines[0] = file_line("file", size, CONTENT);
        forgery.put(&rig);
        assert!(refused(&rig).message.contains("extents end at 16"));
    }
}

#[test]
fn sums_that_overflow_are_no_panic() {
    let rig = Rig::new();
    for number in 1..=2 {
        let mut forgery = Forgery::of(&rig, number, CONTENT);
        forgery.head.raw_bytes = u64::MAX;
        forgery.head.stored_bytes = u64::MAX;
        forgery.put(&rig);
    }
    assert_eq!(rig.vault().heads(None).unwrap().findings, []);
    assert_eq!(restored(&rig).unwrap(), CONTENT);
}

#[test]
fn content_that_is_not_what_its_digest_says() {
    let rig = Rig::new();
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    forgery.lines[0] = file_line("file", CONTENT.len() as u64, b"something else..");
    forgery.put(&rig);
    assert!(matches!(
        restored(&rig),
        Err(VaultError::DigestMismatch { .. })
    ));
}

#[test]
fn json_that_is_nested_without_end() {
    let rig = Rig::new();
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    forgery.lines[1] = "[".repeat(1 << 20);
    forgery.put(&rig);
    assert_eq!(refused(&rig).kind, FindingKind::ManifestMalformed);
    let deep = format!("{{\"head\":{},\"signature\":\"\"}}", "[".repeat(1 << 20));
    put(&rig, "shop/snapshots/x.head.json", deep.into_bytes());
    let findings = rig.vault().heads(None).unwrap().findings;
    assert!(
        findings
            .iter()
            .any(|f| f.kind == FindingKind::HeadMalformed)
    );
}

/// A pack whose plain bytes were bent after it was made.
fn bent(bend: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut pack = forge::pack(&[CONTENT]);
    bend(&mut pack);
    pack
}

#[test]
fn tables_of_packs_that_lie() {
    let set = |pack: &mut Vec<u8>, from_end: usize, value: u32| {
        let at = pack.len() - from_end;
        pack[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let compressed = u32::try_from(frame(CONTENT).len()).unwrap();
    let size = u32::try_from(CONTENT.len()).unwrap();
    let packs = [
        ("no frames", bent(|pack| set(pack, 9, 0))),
        ("more frames than there are", bent(|pack| set(pack, 9, 2))),
        ("more frames than fit", bent(|pack| set(pack, 9, 65_537))),
        (
            "all frames of the world",
            bent(|pack| set(pack, 9, u32::MAX)),
        ),
        ("other magic", bent(|pack| set(pack, 4, 1))),
        ("a longer frame", bent(|pack| set(pack, 17, compressed + 1))),
        (
            "a shorter frame",
            bent(|pack| set(pack, 17, compressed - 1)),
        ),
        ("a frame of 4 GiB", bent(|pack| set(pack, 17, u32::MAX))),
        ("empty content", bent(|pack| set(pack, 13, 0))),
        ("more content", bent(|pack| set(pack, 13, size + 1))),
        ("less content", bent(|pack| set(pack, 13, size - 1))),
        (
            "content beyond the limit",
            bent(|pack| set(pack, 13, (4 << 20) + 1)),
        ),
        ("table's own size", bent(|pack| set(pack, 21, 16))),
        ("nothing", Vec::new()),
        (
            "a footer alone",
            bent(|pack| drop(pack.drain(..pack.len() - 9))),
        ),
        ("zeros", vec![0; 4096]),
    ];
    for (what, pack) in packs {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.packs = vec![pack];
        forgery.put(&rig);
        let error = restored(&rig).unwrap_err();
        assert!(matches!(error, VaultError::Damaged(_)), "{what}: {error:?}");
    }
}

#[test]
fn sizes_in_heads_that_are_absurd() {
    let rig = Rig::new();
    let absurd = |bytes| ObjectRef {
        sha256: Sha256Digest::of(b"x"),
        bytes,
    };
    for bytes in [64 << 30, u64::MAX] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.head.manifest = absurd(bytes);
        forgery.put(&rig);
        assert_eq!(refused(&rig).kind, FindingKind::ManifestMalformed);
        assert_found(&rig, Depth::Heads, FindingKind::ManifestDamaged);

        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.header.packs = vec![absurd(bytes)];
        forgery.head.packs = vec![absurd(bytes)];
        forgery.put(&rig);
        assert!(matches!(restored(&rig), Err(VaultError::Damaged(_))));
        assert_found(&rig, Depth::Heads, FindingKind::PackMissing);
    }
    // Index objects of a head of our own: the next backup is a whole one, and says so.
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    forgery.head.index = vec![IndexRef {
        name: format!("{}-0", backup_id(1)),
        sha256: Sha256Digest::of(b"x"),
        bytes: u64::MAX,
    }];
    forgery.put(&rig);
    let content = Files::from([("a.pages".to_owned(), pages(1, 3))]);
    let done = back_up(&rig.vault(), 2, &content).unwrap();
    assert!(done.notes.iter().any(|note| note.contains("whole")));
    assert_restores(&rig.vault(), &done.head, &content);
}

/// A sealed index object of these records, named by a head of our own.
fn with_index(rig: &Rig, records: &[u8]) {
    let key: serde_json::Value = serde_json::from_str(&rig.write_key).unwrap();
    let own: age::x25519::Identity = key["index_identity"].as_str().unwrap().parse().unwrap();
    let framed = [b"RSGIDX1\n", records].concat();
    let sealed = seal(&own.to_public(), &zstd::encode_all(&framed[..], 1).unwrap());
    let name = format!("{}-0", backup_id(1));
    let ObjectRef { sha256, bytes } = object_of(&sealed);
    put(rig, &format!("shop/index/{name}.age"), sealed);
    let mut forgery = Forgery::of(rig, 1, CONTENT);
    forgery.head.index = vec![IndexRef {
        name,
        sha256,
        bytes,
    }];
    forgery.put(rig);
}

#[test]
fn index_objects_that_ask_for_all_memory() {
    let pack = [&b"P"[..], &[7; 32], &9_u64.to_le_bytes()].concat();
    let file = |size: u64| {
        [
            &b"F\0"[..],
            &512_u32.to_le_bytes(),
            &size.to_le_bytes(),
            &7_u16.to_le_bytes(),
            b"a.pages",
        ]
        .concat()
    };
    let run = |first: u64, count: u32| {
        let place = [0_u32, 0, 4096, 0].map(u32::to_le_bytes).concat();
        [
            &b"R"[..],
            &first.to_le_bytes(),
            &count.to_le_bytes(),
            &place,
        ]
        .concat()
    };
    let size = 1 << 60;
    for (what, records) in [
        (
            "a run far behind",
            [pack.clone(), file(size), run(1 << 45, 1), vec![0; 16]].concat(),
        ),
        (
            "ids without end",
            [pack.clone(), file(size), run(0, u32::MAX), vec![0; 64]].concat(),
        ),
        (
            "a run that overflows",
            [pack.clone(), file(size), run(u64::MAX, 2), vec![0; 32]].concat(),
        ),
        (
            "a pack beyond",
            [file(size), run(0, 1), vec![0; 16]].concat(),
        ),
    ] {
        let rig = Rig::new();
        with_index(&rig, &records);
        let content = Files::from([("a.pages".to_owned(), pages(1, 3))]);
        let done = back_up(&rig.vault(), 2, &content).unwrap();
        assert!(
            done.notes.iter().any(|note| note.contains("whole")),
            "{what}: {:?}",
            done.notes
        );
        assert_restores(&rig.vault(), &done.head, &content);
    }
}

#[test]
fn objects_of_another_vault_mixed_in() {
    let (rig, other) = (Rig::new(), Rig::new());
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    Forgery::of(&other, 2, b"another vault...").put(&other);
    for info in other.store.list("shop").unwrap() {
        let bytes = other.store.get(&info.key).unwrap();
        rig.store.put(&info.key, bytes, Condition::Always).unwrap();
    }
    let found = rig
        .vault()
        .verify(
            &Selection::All,
            Depth::Bytes,
            &CancelToken::new(),
            &NoProgress,
        )
        .unwrap();
    let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::HeadReplayed]);
    assert_eq!(found.whole, [backup_id(1)]);
    assert_eq!(restored(&rig).unwrap(), CONTENT);

    // A manifest of another vault, or of another backup, under a head that names it.
    let strange = other.vault().id();
    for (vault, backup) in [(Some(strange), backup_id(1)), (None, backup_id(9))] {
        let rig = Rig::new();
        let mut forgery = Forgery::of(&rig, 1, CONTENT);
        forgery.header.vault = vault.unwrap_or(forgery.header.vault);
        forgery.header.backup = backup;
        forgery.put(&rig);
        assert_eq!(refused(&rig).kind, FindingKind::ManifestMalformed);
    }
}

#[test]
fn packs_sealed_to_somebody_else() {
    let rig = Rig::new();
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    let stranger = age::x25519::Identity::generate().to_public();
    let mut forgery = Forgery::of(&rig, 2, CONTENT);
    forgery.recipient = Some(stranger);
    forgery.put(&rig);
    assert!(matches!(
        restored(&rig),
        Err(VaultError::WrongIdentity { .. })
    ));
}

#[test]
fn a_head_with_the_last_number_does_not_make_later_backups_unreadable() {
    let rig = Rig::new();
    let mut forgery = Forgery::of(&rig, 1, CONTENT);
    forgery.head.sequence = u64::MAX - 1;
    forgery.put(&rig);
    let content = Files::from([("a.pages".to_owned(), pages(1, 3))]);
    let error = back_up(&rig.vault(), 2, &content).unwrap_err();
    assert!(
        matches!(&error, VaultError::NoNumberLeft { object } if object.contains(&backup_id(1).to_string())),
        "{error}"
    );
    assert_eq!(rig.vault().heads(None).unwrap().heads.len(), 1);
}

#[test]
fn a_head_that_names_itself_or_a_later_one() {
    let rig = Rig::new();
    Forgery::of(&rig, 1, CONTENT).put(&rig);
    let first = newest(&rig.vault()).unwrap();
    Forgery::of(&rig, 2, CONTENT).put(&rig);
    let second = newest(&rig.vault()).unwrap();
    // The first one, signed again, names the second: a ring.
    let mut ring = first.head.clone();
    ring.previous = Some(second.sha256);
    put_head(&rig, &ring, &rig.write_key.clone());
    let found = rig.vault().heads(None).unwrap();
    assert_eq!(found.heads.len(), 2);
    let kinds: Vec<_> = found.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::HeadMissing, FindingKind::HeadChanged]);
}
