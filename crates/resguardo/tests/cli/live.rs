//! The dashboard in a real Chromium, through the program's own server.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::users::{PASSWORD, serve, with_user};
use crate::world::{World, finish, send};

/// Where the tools of the tests lie.
fn tools() -> PathBuf {
    std::env::var_os("RESGUARDO_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools"),
        PathBuf::from,
    )
}

/// What the script beside this file finds wrong.
fn found(world: &World, plan: &serde_json::Value) -> Vec<String> {
    let node = tools().join("node/node_modules/playwright-core");
    assert!(
        node.exists(),
        "npm's package playwright-core is missing: cargo xtask test installs it"
    );
    world.write("plan.json", &plan.to_string());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/live.mjs");
    let done = Command::new("node")
        .arg(script)
        .arg(tools())
        .arg(world.path("plan.json"))
        .output()
        .expect("Debian's package nodejs is missing: cargo xtask test installs it");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_drill_is_begun_and_watched_and_a_viewer_may_only_look() {
    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("Debian's package chromium is missing: cargo xtask test installs it");
    let world = World::with_shop();
    world.backup();
    with_user(&world, "olga", "operator");
    with_user(&world, "vera", "viewer");
    let go = world.path("go");
    // The drill goes on for as long as somebody looks at it.
    world.write(
        "migrate.sh",
        &format!("until test -e '{}'; do sleep 0.1; done\n", go.display()),
    );
    world.add_to_config(
        r#"
[sources.shop.drill]
migrate = "sh migrate.sh"

[[sources.shop.checks]]
name = "customers"
sql = "select count(*) from customers"
equals = 500
"#,
    );
    let (child, address) = serve(&world);
    let plan = json!({
        "url": format!("http://{address}"),
        "chromium": chromium,
        "password": PASSWORD,
        "phase": "migrate",
        "line": "check customers",
        "go": go,
    });
    let troubles = found(&world, &plan);
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
    send("TERM", &child);
    finish(child).exits(0);
}
