//! The recovery kit: one page that says how to get data back, with Resguardo and without.
//!
//! INVARIANT: it holds no secret. It is meant to be printed, and to lie where strangers may find it.
//! Guarded by `no_secret_and_every_command`.

mod en;
mod es;
mod make;

use jiff::Timestamp;
use resguardo_model::{VaultId, WriterId};

pub use make::{About, FILE, missing, sources_of};

use crate::cli::Lang;

/// A copy of the vault.
#[derive(Clone, Debug)]
pub struct CopyNamed {
    /// Its name in the config.
    pub name: String,
    /// Where it is.
    pub place: String,
}

/// What the page is about.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The vault's id.
    pub vault: VaultId,
    /// Where it is, as a machine far away would name it.
    pub place: String,
    /// Its copies.
    pub copies: Vec<CopyNamed>,
    /// Who can read it.
    pub recipients: Vec<String>,
    /// The writer of this machine.
    pub writer: WriterId,
    /// The other writers that are believed there, and since when no more, if they were retired.
    pub other_writers: Vec<(WriterId, Option<Timestamp>)>,
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
        fetch_from(&self.place)
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
        self.restores_from(&self.place, file)
    }

    fn restores_from(&self, place: &str, file: &str) -> String {
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

    /// Rows of the other writers, with the words for one that is believed and one that is not any more.
    fn writer_rows(&self, [believed, retired]: [&str; 2]) -> String {
        let row = |(writer, at): &(WriterId, Option<Timestamp>)| match at {
            None => format!("| {believed} | `{writer}` |\n"),
            Some(at) => format!("| {retired} {at:.0} | `{writer}` |\n"),
        };
        self.other_writers.iter().map(row).collect()
    }

    /// The flags that name every writer to `read_vault.py`: what a retired one signed is there still.
    fn writer_flags(&self) -> String {
        let others = self.other_writers.iter().map(|(writer, _)| writer);
        std::iter::once(&self.writer)
            .chain(others)
            .map(|writer| format!("--writer {writer}"))
            .collect::<Vec<_>>()
            .join(" \\\n  ")
    }

    /// The part about the copies; empty where there are none.
    fn copies_part(&self, [heading, intro, by_hand, here]: [&str; 4], file: &str) -> String {
        if self.copies.is_empty() {
            return String::new();
        }
        let mut rows = String::new();
        let mut commands = String::new();
        for copy in &self.copies {
            rows.push_str(&format!("- {}: `{}`\n", copy.name, copy.place));
            commands.push_str(&self.restores_from(&copy.place, file));
            if let Some(fetch) = fetch_from(&copy.place) {
                commands.push_str(&format!("{fetch}    # {by_hand}\n"));
            }
        }
        let (source, name) = (self.a_source(), &self.copies[0].name);
        format!(
            "## {heading}

{intro}

{rows}
```sh
{commands}```

{here}

```sh
resguardo restore {source} --from {name} --to {file}
resguardo copy rebuild --from {name}
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

/// The command that brings a vault at `place` onto a disk, where it is a bucket or a container.
fn fetch_from(place: &str) -> Option<String> {
    let (place, settings) = place.split_once('?').unwrap_or((place, ""));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Kit {
        Kit {
            vault: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            place: "/srv/vault".to_owned(),
            copies: Vec::new(),
            recipients: vec!["age1abc".to_owned()],
            writer: WriterId([7; 32]),
            other_writers: Vec::new(),
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
    fn every_writer_and_every_copy_is_named() {
        let copy = |name: &str, place: &str| CopyNamed {
            name: name.to_owned(),
            place: place.to_owned(),
        };
        let retired_at = "2026-11-22T07:00:00Z".parse().unwrap();
        let kit = Kit {
            other_writers: vec![
                (WriterId([8; 32]), None),
                (WriterId([9; 32]), Some(retired_at)),
            ],
            copies: vec![copy("nas", "/mnt/nas"), copy("offsite", "s3://acme/copy")],
            ..kit()
        };
        for lang in [Lang::En, Lang::Es] {
            let page = kit.render(lang);
            for needed in [
                "--writer ed25519:0707",
                "--writer ed25519:0808",
                "--writer ed25519:0909",
                "2026-11-22T07:00:00Z | `ed25519:0909",
                "resguardo restore shop --vault /mnt/nas --identity identity.txt",
                "resguardo restore shop --vault s3://acme/copy --identity identity.txt",
                "aws s3 sync s3://acme/copy ./vault",
                "resguardo restore shop --from nas",
                "resguardo copy rebuild --from nas",
            ] {
                assert!(page.contains(needed), "{needed} is missing in\n{page}");
            }
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
