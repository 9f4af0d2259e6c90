//! Vaults in the stores of the large services, and what they answer to bad settings.

use resguardo_testkit::servers::{Answer, Answering};
use resguardo_testkit::{AzureServer, GcsServer, S3Server};

use crate::world::{World, shop};

/// From `init` to a restore in the vault at `url`.
fn goes_all_the_way(world: &World, url: &str) {
    shop(&world.path("shop.db"), 100);
    let source = "shop=./shop.db";
    world
        .run(&["init", "--vault", url, "--source", source, "--yes"])
        .exits(0);
    let id = world.backup();
    world.run(&["verify"]).exits(0);
    world.run(&["restore", &id, "--to", "back.db"]).exits(0);
    world.run(&["doctor"]).exits(0).prints(&[url]);
    world.run(&["vault", "access"]).exits(0).prints(&["public"]);
}

#[test]
fn azure() {
    let server = AzureServer::azurite();
    server.create_container("backups");
    let world = World::new()
        .with("AZURE_STORAGE_ACCOUNT", AzureServer::ACCOUNT)
        .with("AZURE_STORAGE_KEY", AzureServer::ACCESS_KEY);
    let url = format!(
        "az://backups/shop?account={}&endpoint={}",
        AzureServer::ACCOUNT,
        server.endpoint()
    );
    goes_all_the_way(&world, &url);
    let strangers = World::new().with("AZURE_STORAGE_KEY", AzureServer::ACCESS_KEY);
    strangers
        .run(&["init", "--vault", "az://backups/shop", "--yes"])
        .exits(1)
        .complains(&["account is not named", "AZURE_STORAGE_ACCOUNT"]);
}

#[test]
fn google() {
    let server = GcsServer::fake();
    server.create_bucket("acme");
    let world = World::new().with("GOOGLE_OAUTH_ACCESS_TOKEN", "any");
    let url = format!("gs://acme/shop?endpoint={}", server.endpoint());
    goes_all_the_way(&world, &url);
    World::new()
        .with("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
        .run(&["init", "--vault", &url, "--yes"])
        .exits(1)
        .complains(&["/nowhere/key.json"]);
}

#[test]
fn keys_of_a_profile() {
    let server = S3Server::s3s_fs();
    server.create_bucket("backups");
    let world = World::new();
    world.write(
        "aws",
        &format!(
            "[backup]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            S3Server::ACCESS_KEY_ID,
            S3Server::SECRET_ACCESS_KEY
        ),
    );
    let file = world.path("aws").display().to_string();
    let world = world
        .with("AWS_SHARED_CREDENTIALS_FILE", &file)
        .with("AWS_ENDPOINT_URL", &server.endpoint());
    let init = ["init", "--vault", "s3://backups/shop", "--yes"];
    world
        .clone()
        .with("AWS_PROFILE", "nobody")
        .run(&init)
        .exits(1)
        .complains(&["there is no profile nobody"]);
    world.with("AWS_PROFILE", "backup").run(&init).exits(0);
}

#[test]
fn what_a_service_refuses_leads_to_the_next_step() {
    let moto = S3Server::moto();
    let keys = |endpoint: &str| {
        World::new()
            .with("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY_ID)
            .with("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_ACCESS_KEY)
            .with("AWS_ENDPOINT_URL", endpoint)
    };
    let init = ["init", "--vault", "s3://nowhere/shop", "--yes"];
    keys(&moto.endpoint())
        .run(&init)
        .exits(5)
        .complains(&["bucket nowhere does not exist", "make the bucket nowhere"]);
    for (status, code, next) in [
        ("400 Bad Request", "ExpiredToken", "get new ones"),
        ("403 Forbidden", "RequestTimeTooSkewed", "NTP"),
    ] {
        let service = Answering::with(move |_| Answer::refusal(status, code, "No."));
        keys(&service.endpoint())
            .run(&init)
            .exits(5)
            .complains(&[code, next]);
    }
    World::new()
        .run(&["init", "--vault", "ftp://host/x", "--yes"])
        .exits(1)
        .complains(&["ftp:// is not known", "gs://bucket/prefix"]);
}

#[test]
fn settings_that_make_no_sense_are_refused_where_they_stand() {
    let world = World::new();
    world.write(
        "resguardo.toml",
        "[vault]\nurl = \"s3://backups/shop\"\nsse = \"rot13\"\nstorage_class = \"GLACIER\"\n",
    );
    world.run(&["list"]).exits(1).complains(&[
        "\"rot13\" is no way of the service to encrypt",
        "cannot be read when they are needed",
        "GLACIER_IR",
    ]);
}
