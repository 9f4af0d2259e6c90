//! `receipts`

use crate::world::World;

#[test]
fn listed_shown_and_checked() {
    let world = World::with_shop();
    world.backup();
    world.run(&["drill"]).exits(0);
    world
        .run(&["receipts", "list"])
        .exits(0)
        .prints(&["RECEIPT", "backup", "drill", "passed"]);
    let answer = world
        .run(&["receipts", "list", "shop", "--json"])
        .exits(0)
        .json();
    let receipts = answer["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[1]["sequence"], 2);
    let run = receipts[1]["run"].as_str().unwrap();
    world
        .run(&["receipts", "show", run])
        .exits(0)
        .prints(&["https://in-toto.io/Statement/v1", "test-result"]);
    let shown = world
        .run(&["receipts", "show", run, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        shown["envelope"]["payloadType"],
        "application/vnd.in-toto+json"
    );
    world
        .run(&["receipts", "verify"])
        .exits(0)
        .prints(&["2 receipts"]);
    world
        .run(&["receipts", "show", "zzzzzz"])
        .exits(1)
        .complains(&["receipts list"]);
}

#[test]
fn a_file_is_checked_offline() {
    let world = World::with_shop();
    world.backup();
    let receipt = &world.objects("shop/receipts", ".json")[0];
    let stranger = World::new();
    std::fs::copy(receipt, stranger.path("receipt.json")).unwrap();
    stranger
        .run(&["receipts", "verify", "receipt.json"])
        .exits(0)
        .prints(&["ok receipt.json", "ed25519:"]);
    let text = std::fs::read_to_string(receipt).unwrap();
    let mut envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
    let other = serde_json::json!({ "_type": "https://in-toto.io/Statement/v1" }).to_string();
    envelope["payload"] = serde_json::json!(data_encoding::BASE64.encode(other.as_bytes()));
    stranger.write("forged.json", &envelope.to_string());
    let answer = stranger
        .run(&["receipts", "verify", "forged.json", "--json"])
        .exits(3)
        .json();
    assert_eq!(answer["files"][0]["ok"], false);
}

#[test]
fn a_removed_receipt_leaves_a_hole() {
    let world = World::with_shop();
    world.backup();
    world.backup();
    world.backup();
    std::fs::remove_file(&world.objects("shop/receipts", ".json")[1]).unwrap();
    let answer = world.run(&["receipts", "verify", "--json"]).exits(3).json();
    assert_eq!(answer["findings"][0]["kind"], "receipt-missing");
}

#[test]
fn one_receipt_is_checked_by_its_run() {
    let world = World::with_shop();
    world.backup();
    let answer = world.run(&["receipts", "list", "--json"]).exits(0).json();
    let run = answer["receipts"][0]["run"].as_str().unwrap().to_owned();
    for name in [&run[..], &run[..12]] {
        world.run(&["receipts", "verify", name]).exits(0).prints(&[
            "ok ",
            name,
            "backup of shop succeeded",
            "which is trusted here",
        ]);
    }
    let answer = world
        .run(&["receipts", "verify", &run, "--json"])
        .exits(0)
        .json();
    assert_eq!(answer["files"][0]["trusted"], true);
    for name in ["zzzzzz", "01m"] {
        world
            .run(&["receipts", "verify", name])
            .exits(1)
            .complains(&["there is no receipt", "receipts list"]);
    }
    // This machine has seen it whole; what counts is what lies in the vault now.
    let stored = &world.objects("shop/receipts", ".json")[0];
    let text = std::fs::read_to_string(stored).unwrap();
    let mut envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
    let other = serde_json::json!({ "_type": "https://in-toto.io/Statement/v1" }).to_string();
    envelope["payload"] = serde_json::json!(data_encoding::BASE64.encode(other.as_bytes()));
    std::fs::write(stored, envelope.to_string()).unwrap();
    world
        .run(&["receipts", "verify", &run])
        .exits(3)
        .prints(&["bad ", &run]);
    let ran = world.run(&["receipts", "verify"]).exits(3);
    let key = format!(
        "shop/receipts/{}",
        stored.file_name().unwrap().to_str().unwrap()
    );
    assert_eq!(
        ran.stdout.matches(&key).count(),
        1,
        "named once: {}",
        ran.stdout
    );
}
