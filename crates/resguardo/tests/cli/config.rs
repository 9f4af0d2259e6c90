//! `config`

use crate::world::World;

#[test]
fn every_value_with_its_origin_and_no_secret() {
    let world = World::with_shop()
        .with("SECRET", "s3cret-value")
        .with("SHOP_DB", "shop.db");
    let config = std::fs::read_to_string(world.path("resguardo.toml")).unwrap();
    let config = config
        .replace(
            "[vault]\n",
            "[vault]\naccess_key = \"${SECRET}\"\nsecret_key = \"s3cret-literal\"\nendpoint = \"https://ana:s3cret-word@host\"\ncopies = [\"s3://bucket?token=s3cret-token\"]\n",
        )
        .replace("url = \"./shop.db\"", "url = \"${SHOP_DB}\"");
    world.write("resguardo.toml", &config);
    let ran = world.run(&["config", "show"]).exits(0).prints(&[
        "KEY",
        "ORIGIN",
        "vault.url",
        "vault.compression_level",
        "default",
        "sources.shop.url",
        "env SHOP_DB",
        "resguardo.toml:",
        "***",
        "environments.production.rpo",
    ]);
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    let answer = world.run(&["config", "show", "--json"]).exits(0);
    assert!(!answer.stdout.contains("s3cret"), "{}", answer.stdout);
    let values = answer.json()["values"].as_array().unwrap().clone();
    let url = values
        .iter()
        .find(|value| value["key"] == "sources.shop.url")
        .unwrap();
    assert!(
        url["origin"].as_str().unwrap().ends_with("env SHOP_DB"),
        "{url}"
    );
}

#[test]
fn a_flag_beats_the_environment_and_that_the_file() {
    let world = World::with_shop();
    let origin = |world: &World, arguments: &[&str]| {
        let answer = world.run(arguments).exits(0).json();
        let values = answer["values"].as_array().unwrap().clone();
        values
            .iter()
            .find(|value| value["key"] == "vault.url")
            .unwrap()["origin"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(origin(&world, &["config", "show", "--json"]).starts_with("resguardo.toml:"));
    let world = world
        .with("RESGUARDO_VAULT", "./other")
        .with("BACKUP_DIR", "./third");
    assert_eq!(
        origin(&world, &["config", "show", "--json"]),
        "env RESGUARDO_VAULT"
    );
    assert_eq!(
        origin(&world, &["config", "show", "--json", "--vault", "x"]),
        "flag --vault"
    );
}

#[test]
fn the_schema_is_the_one_in_the_docs() {
    let world = World::new();
    let ran = world.run(&["config", "schema"]).exits(0);
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(schema["title"], "resguardo.toml");
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.schema.json");
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(docs).unwrap()).unwrap();
    assert!(schema == kept, "run `cargo xtask generate`");
}

#[test]
fn a_config_that_is_not_there() {
    let world = World::new();
    world
        .run(&["list", "--config", "nope.toml"])
        .exits(1)
        .complains(&["nope.toml does not exist", "--config FILE"]);
}
