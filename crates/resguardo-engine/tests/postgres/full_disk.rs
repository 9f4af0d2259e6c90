//! A throwaway server whose disk is full: said, and nothing of it is left.

use std::path::{Path, PathBuf};
use std::process::Command;

use resguardo_engine::contract::with_run;
use resguardo_engine::port::{CaptureRequest, Engine as _, EngineError, Location, RestoreOptions};
use resguardo_testkit::{PgServer, PgVersion};

use crate::world::{Site, captured, described, engine, server_user};

/// Where a test that was started anew, so that it may mount, finds its small disk.
const VARIABLE: &str = "RESGUARDO_TEST_SMALL_DISK";

/// A small disk, mounted while it lives.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Runs `test` with a folder on a disk of `size`: mounted here by root, else in a user namespace in which
/// the test is run once more.
fn on_small_disk(name: &str, size: &str, test: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return test(Path::new(&folder));
    }
    let folder = tempfile::Builder::new()
        .prefix("rgsmall-")
        .tempdir()
        .unwrap();
    let mount = format!(
        "mount -t tmpfs -o size={size},mode=0711 none {}",
        folder.path().display()
    );
    if rustix::process::geteuid().is_root() {
        let status = Command::new("sh").args(["-c", &mount]).status().unwrap();
        assert!(status.success(), "{mount}");
        let disk = SmallDisk(folder.path().to_owned());
        test(&disk.0);
        return;
    }
    let own = std::env::current_exe().unwrap();
    let again = format!(
        "{mount} && exec unshare --user --map-user=1000 --map-group=1000 {} --exact {name} --nocapture",
        own.display()
    );
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &again])
        .env(VARIABLE, folder.path())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{name}: a full disk is tried on a mounted tmpfs, which takes root or a user namespace (unshare --user)"
    );
}

#[test]
fn no_room_for_the_server() {
    on_small_disk("full_disk::no_room_for_the_server", "8m", |disk| {
        for version in PgVersion::all() {
            let site = Site::below(disk);
            let error = with_run(|run| {
                engine(version)
                    .open_sandbox(&site, None, run)
                    .err()
                    .unwrap()
            });
            assert!(
                matches!(error, EngineError::Full { .. }),
                "{}",
                described(&error)
            );
            assert!(!site.is_alive());
        }
    });
}

/// A server whose database `postgres` fits on none of these disks.
fn large(version: PgVersion) -> PgServer {
    let server = PgServer::start(version);
    server.psql(
        "postgres",
        "create table t as select i, md5(i::text) || md5((-i)::text) as word from generate_series(1, 500000) i",
    );
    server
}

#[test]
fn no_room_for_the_data() {
    on_small_disk("full_disk::no_room_for_the_data", "64m", |disk| {
        for version in PgVersion::all() {
            let server = large(version);
            let backup = captured(&server, "postgres");
            drop(server);
            let site = Site::below(disk);
            let target =
                with_run(|run| engine(version).open_sandbox(&site, backup.facts.as_ref(), run));
            let target = target.unwrap_or_else(|error| panic!("{}", described(&error)));
            let error = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run))
                .unwrap_err();
            assert!(
                described(&error).contains("no space left"),
                "{}",
                described(&error)
            );
            target.close().unwrap();
            assert!(!site.is_alive());
        }
    });
}

#[test]
fn no_room_at_the_target() {
    on_small_disk("full_disk::no_room_at_the_target", "24m", |disk| {
        for version in PgVersion::all() {
            let server = large(version);
            let backup = captured(&server, "postgres");
            let folder = disk.join("tablespace");
            std::fs::create_dir(&folder).unwrap();
            if let Some(user) = server_user() {
                std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid)).unwrap();
            }
            let tablespace = format!("create tablespace small location '{}'", folder.display());
            server.psql("postgres", &tablespace);
            server.create_database("again", "tablespace small");
            let location = Location::new(server.url("again"));
            let target = engine(version).open_target(&location).unwrap();
            let error = with_run(|run| target.restore(&backup, &RestoreOptions::default(), run))
                .unwrap_err();
            let is_touched = matches!(error, EngineError::TargetTouched { .. });
            let words = described(&error);
            assert!(
                is_touched && words.contains("no space left"),
                "{version}: {words}"
            );
            drop(server);
            std::fs::remove_dir_all(&folder).unwrap();
        }
    });
}

#[test]
fn no_room_for_an_export() {
    on_small_disk("full_disk::no_room_for_an_export", "4m", |disk| {
        let server = PgServer::start(PgVersion::V18);
        server.psql(
            "postgres",
            "create table t as select i, md5(i::text) || md5((-i)::text) as word from generate_series(1, 200000) i",
        );
        let folder = disk.join("exports");
        std::fs::create_dir(&folder).unwrap();
        let request = CaptureRequest::new(Location::new(server.url("postgres")));
        for name in ["x.dump", "x.tar", "x.sql", "x.sql.gz"] {
            let error =
                with_run(|run| engine(PgVersion::V18).export(&request, &folder.join(name), run));
            let error = error.unwrap_err();
            assert!(
                matches!(error, EngineError::Full { .. }),
                "{name}: {}",
                described(&error)
            );
            let left = std::fs::read_dir(&folder).unwrap().count();
            assert_eq!(left, 0, "{name}");
        }
    });
}
