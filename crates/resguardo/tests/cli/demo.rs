//! `demo`

use crate::world::World;

#[test]
fn the_main_job_from_beginning_to_end() {
    let world = World::new();
    let ran = world.run(&["demo"]).exits(0).prints(&[
        "1. A shop",
        "$ resguardo init --vault ./vault --source shop=./shop.sqlite --yes",
        "$ resguardo backup",
        "shop: PASSED",
        "every order adds up",
        "Disaster",
        "$ resguardo restore latest",
        "before it was replaced",
        "$ resguardo receipts verify",
        "8. The same with PostgreSQL",
        "$ resguardo backup tienda",
        "tienda: PASSED",
        "$ resguardo restore tienda:latest --to $DATABASE_URL --clean",
        "Everything came back",
    ]);
    assert!(!ran.stdout.contains("FAILED"), "{}", ran.stdout);
    assert_eq!(
        std::fs::read_dir(world.path("")).unwrap().count(),
        0,
        "nothing is left in the user's folder"
    );
    assert_eq!(
        std::fs::read_dir(world.home()).unwrap().count(),
        0,
        "nor in the home"
    );
}

#[test]
fn kept_and_as_json() {
    let world = World::new();
    let world = {
        let folder = world.path("tmp");
        std::fs::create_dir(&folder).unwrap();
        let folder = folder.to_str().unwrap().to_owned();
        world.with("TMPDIR", &folder)
    };
    let ran = world.run(&["demo", "--keep", "--json"]).exits(0);
    assert_eq!(ran.stderr, "", "JSON is the whole answer");
    let answer = ran.json();
    assert_eq!(answer["whole_again"], true);
    let folder = answer["folder"].as_str().unwrap();
    assert!(std::path::Path::new(folder).join("drill.html").is_file());
    assert!(answer["steps"].as_array().unwrap().len() >= 6);
}
