//! A vault in a bucket, of a real S3 server that checks signatures.

use resguardo_testkit::S3Server;

use crate::world::{World, shop};

#[test]
fn from_init_to_restore() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    shop(&world.path("shop.db"), 100);
    let url = "s3://backups/shop";
    world
        .run(&[
            "init",
            "--vault",
            url,
            "--source",
            "shop=./shop.db",
            "--yes",
        ])
        .exits(0);
    let id = world.backup();
    world.run(&["drill"]).exits(0);
    world.run(&["verify"]).exits(0);
    world.run(&["restore", &id, "--to", "back.db"]).exits(0);
    world
        .run(&["doctor"])
        .exits(0)
        .prints(&["s3://backups/shop"]);
    let kit = std::fs::read_to_string(world.path("recovery-kit.md")).unwrap();
    assert!(
        kit.contains("aws s3 sync s3://backups/shop ./vault"),
        "{kit}"
    );
}

#[test]
fn a_wrong_key_and_half_a_key() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    let world = World::new()
        .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    world
        .run(&["init", "--vault", "s3://backups/shop", "--yes"])
        .exits(1)
        .complains(&["only one of access_key and secret_key"]);
    let world = world.with("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    world
        .run(&["init", "--vault", "s3://backups/shop", "--yes"])
        .exits(5)
        .complains(&["access denied"]);
    assert!(!world.path("resguardo.toml").exists());
}

#[test]
fn secrets_of_the_config_by_reference() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    let world = World::new().with("KEY_ID", S3Server::ACCESS_KEY_ID);
    world.write("secret.txt", S3Server::SECRET_ACCESS_KEY);
    world.write(
        "resguardo.toml",
        &format!(
            r#"[vault]
url = "s3://backups/shop"
endpoint = "{}"
access_key = "${{KEY_ID}}"
secret_key = "cmd:cat secret.txt"
"#,
            server.endpoint()
        ),
    );
    world.run(&["init", "--yes"]).exits(0);
    world.run(&["list"]).exits(0);
    let ran = world
        .run(&["config", "show"])
        .exits(0)
        .prints(&["***", "cmd:cat secret.txt"]);
    assert!(!ran.stdout.contains(S3Server::ACCESS_KEY_ID));
    assert!(!ran.stdout.contains(S3Server::SECRET_ACCESS_KEY));
}
