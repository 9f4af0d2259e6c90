//! `doctor`

use std::os::unix::fs::PermissionsExt as _;

use crate::world::World;

#[test]
fn all_is_well() {
    let world = World::with_shop();
    world.backup();
    world.run(&["drill"]).exits(0);
    world.run(&["doctor"]).exits(0).prints(&[
        "resguardo: version",
        "config: resguardo.toml",
        "store: conditional put works",
        "write key:",
        "source shop",
    ]);
    let answer = world.run(&["doctor", "--json"]).exits(0).json();
    for diagnosis in answer["diagnoses"].as_array().unwrap() {
        assert_ne!(diagnosis["severity"], "problem", "{diagnosis}");
    }
    assert!(
        world.objects("_probe", "").is_empty(),
        "nothing of the trial is left"
    );
}

#[test]
fn each_problem_with_its_next_command() {
    let world = World::with_shop();
    std::fs::set_permissions(
        world.keys().join("identity.txt"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    world.add_to_config(
        "[sources.gone]\nurl = \"gone.db\"\n\n[sources.unset]\nurl = \"${NOT_SET}\"\n",
    );
    world.run(&["doctor"]).exits(3).prints(&[
        "PROBLEM  identity",
        "mode 0644",
        "next: chmod 600",
        "source gone",
        "gone.db",
        "source unset",
        "NOT_SET is not set",
    ]);
}

#[test]
fn without_a_vault() {
    let world = World::new();
    world
        .run(&["doctor"])
        .exits(3)
        .prints(&["no vault is configured", "next: resguardo init"]);
    world
        .run(&["doctor", "--vault", "./nowhere"])
        .exits(3)
        .prints(&["holds no vault"]);
    assert!(!world.path("nowhere").exists(), "looking makes no folders");
}

/// The diagnoses of one subject.
fn of_subject(answer: &serde_json::Value, subject: &str) -> Vec<serde_json::Value> {
    let diagnoses = answer["diagnoses"].as_array().unwrap();
    diagnoses
        .iter()
        .filter(|diagnosis| diagnosis["subject"] == subject)
        .cloned()
        .collect()
}

#[test]
fn a_protected_identity_is_there_and_locked() {
    let world = World::new();
    world.write("pass.txt", "correct horse\n");
    world.write("wrong.txt", "wrong horse\n");
    crate::world::shop(&world.path("shop.db"), 10);
    let init = ["init", "--source", "shop=shop.db", "--yes"];
    world
        .run(&[&init[..], &["--passphrase-file", "pass.txt"]].concat())
        .exits(0);
    world.backup();
    let answer = world.run(&["doctor", "--json"]).exits(0).json();
    let said = of_subject(&answer, "identity");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["severity"], "warning");
    assert!(
        said[0]["message"]
            .as_str()
            .unwrap()
            .contains("protected by a passphrase")
    );
    assert!(
        said[0]["next"]
            .as_str()
            .unwrap()
            .contains("--passphrase-file")
    );

    let answer = world
        .run(&["doctor", "--json", "--passphrase-file", "wrong.txt"])
        .exits(3)
        .json();
    let said = of_subject(&answer, "identity");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]["message"]
            .as_str()
            .unwrap()
            .contains("does not open the identity")
    );

    let right = world
        .run(&["doctor", "--passphrase-file", "pass.txt"])
        .exits(0);
    assert!(
        !right.stdout.contains("warning  identity"),
        "{}",
        right.stdout
    );
}

#[test]
fn an_identity_that_is_named_is_not_said_to_be_missing() {
    let world = World::with_shop();
    world.backup();
    std::fs::rename(world.keys().join("identity.txt"), world.path("away.txt")).unwrap();
    let answer = world
        .run(&["doctor", "--json", "--identity", "away.txt"])
        .exits(0)
        .json();
    for said in of_subject(&answer, "identity") {
        assert_eq!(said["severity"], "ok", "{said}");
    }
    world
        .run(&["doctor", "--identity", "nowhere.txt"])
        .exits(3)
        .prints(&["PROBLEM  identity", "nowhere.txt is not there"]);
    let answer = world.run(&["doctor", "--json"]).exits(0).json();
    assert_eq!(
        of_subject(&answer, "identity").len(),
        1,
        "said once: {answer}"
    );
}

#[test]
fn a_vault_that_cannot_be_read_is_configured_all_the_same() {
    let world = World::unprivileged();
    world.set_up();
    let description = world.path("vault/vault.json");
    std::fs::set_permissions(&description, std::fs::Permissions::from_mode(0o000)).unwrap();
    let ran = world.run(&["doctor"]).exits(3).prints(&["access denied"]);
    for wrong in ["no vault is configured", "`resguardo doctor`"] {
        assert!(!ran.stdout.contains(wrong), "{wrong}: {}", ran.stdout);
    }
    let place = world.path("vault");
    world
        .run(&["list"])
        .exits(5)
        .complains(&[place.to_str().unwrap(), "access denied"]);
}
