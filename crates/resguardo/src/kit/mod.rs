//! The recovery kit: one page that says how to get data back, with Resguardo and without.
//!
//! INVARIANT: it holds no secret. It is meant to be printed, and to lie where strangers may find it.
//! Guarded by `no_secret_and_every_command`.

mod en;
mod es;

use jiff::Timestamp;
use resguardo_model::{VaultId, WriterId};

use crate::cli::Lang;

/// What the page is about.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The vault's id.
    pub vault: VaultId,
    /// Where it is, as a machine far away would name it.
    pub place: String,
    /// Who can read it.
    pub recipients: Vec<String>,
    /// The writer of this machine.
    pub writer: WriterId,
    /// The machine.
    pub host: String,
    /// Where the identity lies now, if it is on this machine.
    pub identity: Option<String>,
    /// It is protected by a passphrase.
    pub protected: bool,
    /// The sources of the config.
    pub sources: Vec<String>,
    /// One of them is a PostgreSQL database, and this is its name.
    pub postgres: Option<String>,
    /// One of them is a SQLite database, and this is its name.
    pub sqlite: Option<String>,
    /// When the page was made.
    pub made_at: Timestamp,
}

impl Kit {
    /// The page, as Markdown.
    #[must_use]
    pub fn render(&self, lang: Lang) -> String {
        match lang {
            Lang::En => en::render(self),
            Lang::Es => es::render(self),
        }
    }

    /// The command that brings the vault onto a disk first, where it is a bucket or a container.
    fn fetch(&self) -> Option<String> {
        let (place, settings) = self.place.split_once('?').unwrap_or((&self.place, ""));
        if place.starts_with("s3://") {
            return Some(format!("aws s3 sync {place} ./vault"));
        }
        if place.starts_with("gs://") {
            return Some(format!("gcloud storage rsync --recursive {place} ./vault"));
        }
        let below = place
            .strip_prefix("az://")
            .or_else(|| place.strip_prefix("azure://"))?;
        let account = settings
            .split('&')
            .find_map(|setting| setting.strip_prefix("account="))
            .unwrap_or("ACCOUNT");
        Some(format!(
            "azcopy copy \"https://{account}.blob.core.windows.net/{below}/*\" ./vault --recursive"
        ))
    }

    /// The folder that the commands by hand name.
    fn folder(&self) -> &str {
        if self.fetch().is_some() {
            "./vault"
        } else {
            &self.place
        }
    }

    fn a_source(&self) -> &str {
        self.sources.first().map_or("SOURCE", String::as_str)
    }

    /// The commands that restore one source of each engine; `file` is the word for what comes back.
    fn restores(&self, file: &str) -> String {
        let place = &self.place;
        let command = |source: &str, to: &str| {
            format!(
                "resguardo restore {source} --vault {place} --identity identity.txt --to {to}\n"
            )
        };
        let mut all = String::new();
        if self.sqlite.is_some() || self.postgres.is_none() {
            let source = self.sqlite.as_deref().unwrap_or_else(|| self.a_source());
            all.push_str(&command(source, &format!("{file}.sqlite")));
        }
        if let Some(source) = &self.postgres {
            let to = format!("postgresql://USER@HOST:5432/{file} --create");
            all.push_str(&command(source, &to));
        }
        all
    }

    /// What brings the files of a PostgreSQL backup into a new database, with its own tools; empty where
    /// there is no such source.
    fn postgres_steps(&self, intro: &str, folder: &str, optional: &str) -> String {
        if self.postgres.is_none() {
            return String::new();
        }
        format!(
            "{intro}

```sh
cd {folder} && createdb -T template0 NEW
psql -d NEW -f globals.sql
pg_restore -d NEW --section=pre-data schema.dump
psql -d NEW -f rows.sql
pg_restore -d NEW large-objects.dump    # {optional}
pg_restore -d NEW --section=post-data schema.dump
```

"
        )
    }

    fn recipients_list(&self) -> String {
        self.recipients
            .iter()
            .map(|recipient| format!("- `{recipient}`\n"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit {
            vault: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            place: "/srv/vault".to_owned(),
            recipients: vec!["age1abc".to_owned()],
            writer: WriterId([7; 32]),
            host: "web1".to_owned(),
            identity: Some("/home/ana/.config/resguardo/keys/x/identity.txt".to_owned()),
            protected: true,
            sources: vec!["shop".to_owned()],
            postgres: None,
            sqlite: Some("shop".to_owned()),
            made_at: "2026-11-22T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn no_secret_and_every_command() {
        for lang in [Lang::En, Lang::Es] {
            let page = kit().render(lang);
            assert!(!page.contains("AGE-SECRET-KEY-1Q"), "{page}");
            for needed in [
                "01jd8kq2v3m4n5p6q7r8s9t0vw",
                "/srv/vault",
                "age1abc",
                "ed25519:0707",
                "read_vault.py",
                "--identity identity.txt --source shop",
                "resguardo restore shop --vault /srv/vault --identity identity.txt",
            ] {
                assert!(page.contains(needed), "{needed} is missing in\n{page}");
            }
            assert!(
                page.lines().count() <= 75,
                "one page: {}",
                page.lines().count()
            );
        }
    }

    #[test]
    fn a_postgres_source_has_its_own_way_back() {
        let kit = Kit {
            postgres: Some("shop".to_owned()),
            sqlite: None,
            ..kit()
        };
        for lang in [Lang::En, Lang::Es] {
            let page = kit.render(lang);
            assert!(!page.contains(".sqlite"), "{page}");
            for needed in [
                "--create",
                "resguardo restore shop --vault /srv/vault --identity identity.txt --to postgresql://USER@HOST:5432/",
                "psql -d NEW -f globals.sql",
                "pg_restore -d NEW --section=pre-data schema.dump",
                "psql -d NEW -f rows.sql",
                "pg_restore -d NEW large-objects.dump",
                "pg_restore -d NEW --section=post-data schema.dump",
            ] {
                assert!(page.contains(needed), "{needed} is missing in\n{page}");
            }
            assert!(page.lines().count() <= 90, "{}", page.lines().count());
        }
    }

    #[test]
    fn a_bucket_is_fetched_first() {
        let bucket = Kit {
            place: "s3://acme/shop?endpoint=http://x".to_owned(),
            ..kit()
        };
        let page = bucket.render(Lang::En);
        assert!(
            page.contains("aws s3 sync s3://acme/shop ./vault"),
            "{page}"
        );
        assert!(
            page.contains("python3 ./vault/read_vault.py ./vault"),
            "{page}"
        );
        for (place, command) in [
            (
                "gs://acme/shop",
                "gcloud storage rsync --recursive gs://acme/shop ./vault",
            ),
            (
                "az://backups/shop?account=acme",
                "azcopy copy \"https://acme.blob.core.windows.net/backups/shop/*\" ./vault",
            ),
        ] {
            let place = place.to_owned();
            let page = Kit { place, ..kit() }.render(Lang::Es);
            assert!(page.contains(command), "{page}");
        }
    }
}
