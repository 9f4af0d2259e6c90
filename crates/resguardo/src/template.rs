//! The `resguardo.toml` that `init` writes: what was chosen, and in comments what else there is.

use resguardo_model::{EngineKind, SourceName};

/// A source as `init` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenSource {
    /// Its name.
    pub name: SourceName,
    /// Its URL as it will stand in the file.
    pub url: String,
    /// Its engine, where that can be told by now.
    pub engine: Option<EngineKind>,
}

/// The file's text.
#[must_use]
pub fn render(vault: &str, sources: &[ChosenSource]) -> String {
    let mut text = format!(
        r#"# Configuration of Resguardo. Every value with its origin: `resguardo config show`.
# Relative paths are seen from this file. ${{NAME}} is an environment variable.

[vault]
# A folder, "s3://bucket/prefix", "gs://bucket/prefix" or "az://container/prefix".
url = {vault}
# Further vaults that get every backup, each a place or a table: `resguardo copy`.
# copies = ["/mnt/usb/vault", {{ url = "s3://acme-backups/shop", name = "offsite", bandwidth = "10MB/s", retention = {{ daily = 35, monthly = 12 }} }}]
# compression_level = 1               # zstd, 1 (fast) to 19 (small)
# identity = "/mnt/usb/identity.txt"  # what opens backups; only drills and restores need it
# How a bucket is reached; what is left open is taken from the environment: AWS_*, GOOGLE_*, AZURE_*.
# region = "sa-east-1"                # S3; also endpoint, path_style, profile
# access_key = "${{VAULT_ACCESS_KEY}}"
# secret_key = "file:/run/secrets/vault-key"  # or "cmd:pass show vault"
# credentials_file = "/etc/resguardo/google.json"  # gs://
# account = "acmebackups"             # az://
# account_key = "cmd:pass show azure"

# What is promised. A drill fails if a backup is older than rpo, or came back slower than rto.
[environments.production]
rpo = "24h"
rto = "4h"
# timezone = "America/Bogota"
# What `resguardo prune` keeps. Without it nothing is ever deleted.
# retention = {{ daily = 14, weekly = 8, monthly = 12, pre_migration = "90d" }}
# `resguardo plan` shows what is due, `resguardo serve` does it.
# schedule = "daily 02:00"            # or five fields of cron: "0 2 * * *"
# drill = {{ schedule = "monthly first sunday 04:00" }}
"#,
        vault = quoted(vault)
    );
    for source in sources {
        text.push_str(&source_table(source));
    }
    if sources.is_empty() {
        text.push_str(
            r#"
# [sources.shop]
# url = "shop.db"                     # a path, or "${DATABASE_URL}"; postgresql://ana@db.example.com/shop
# environment = "production"
"#,
        );
    }
    text.push_str(DRILL);
    text
}

fn source_table(source: &ChosenSource) -> String {
    let engine = match source.engine {
        Some(engine) => format!("engine = \"{engine}\"\n"),
        None => String::new(),
    };
    let more = match source.engine {
        Some(EngineKind::Postgres) => {
            "# silence_timeout = \"5m\"            # of a connection or tool from which data should flow\n\
             # jobs = 4                           # streams at once\n"
        }
        Some(EngineKind::Sqlite) => {
            "# check_integrity = true              # before every backup; every drill does it anyway\n"
        }
        None => "",
    };
    format!(
        r#"
[sources.{name}]
{engine}url = {url}
environment = "production"
# lock_timeout = "30s"
{more}"#,
        name = source.name,
        url = quoted(&source.url),
    )
}

const DRILL: &str = r#"
# What a drill does beyond restoring and comparing. DATABASE_URL names the restored database.
#
# [sources.shop.drill]
# provision = ["sql/roles.sql"]       # SQL files, first of all
# migrate = "npx prisma migrate deploy"
# keep_failed = true                  # keep the sandbox of a drill that failed
# PostgreSQL: instance, a throwaway server of this machine, or a temporary database on a server:
# sandbox = "database"
# server = "${DRILL_SERVER_URL}"
# timeout = "10m"                     # for each file, and for the migration
#
# [[sources.shop.checks]]
# name = "customers"
# sql = "select count(*) from customers"
# min = 1                             # or equals, max, matches, rows
#
# [[sources.shop.checks]]
# name = "health"
# serve = "node dist/server.js"       # started on the restored database, with PORT
# http = "http://127.0.0.1:${PORT}/health"
# status = 200
#
# [[sources.shop.checks]]
# name = "smoke"
# command = "npm run smoke"
"#;

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::ConfigFile;

    fn chosen(url: &str) -> Vec<ChosenSource> {
        vec![ChosenSource {
            name: "shop".parse().unwrap(),
            url: url.to_owned(),
            engine: Some(EngineKind::Sqlite),
        }]
    }

    #[test]
    fn the_file_reads_back() {
        for url in ["shop.db", "it's \"odd\" \\ ñ.db"] {
            let text = render("./vault", &chosen(url));
            let file: ConfigFile = toml::from_str(&text).unwrap();
            assert_eq!(file.vault.url.unwrap().get(), "./vault");
            assert_eq!(
                file.sources
                    .values()
                    .next()
                    .unwrap()
                    .url
                    .as_ref()
                    .unwrap()
                    .get(),
                url
            );
        }
    }

    #[test]
    fn every_comment_is_a_setting_too() {
        // With the comment signs of settings taken off, the file must still be one.
        let text = render("./vault", &[]);
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[')
                        || rest
                            .split_once(" = ")
                            .is_some_and(|(key, _)| !key.contains(' ')) =>
                {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let file: ConfigFile =
            toml::from_str(&uncommented).unwrap_or_else(|error| panic!("{error}\n{uncommented}"));
        assert_eq!(file.sources.values().next().unwrap().checks.len(), 3);
    }
}
