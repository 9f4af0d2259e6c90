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

    /// The command that brings the vault onto a disk first, where it is a bucket.
    fn fetch(&self) -> Option<String> {
        self.place.starts_with("s3://").then(|| {
            format!(
                "aws s3 sync {} ./vault",
                self.place.split('?').next().unwrap_or(&self.place)
            )
        })
    }

    /// The folder that the commands by hand name.
    fn folder(&self) -> &str {
        if self.place.starts_with("s3://") {
            "./vault"
        } else {
            &self.place
        }
    }

    fn a_source(&self) -> &str {
        self.sources.first().map_or("SOURCE", String::as_str)
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
    fn a_bucket_is_fetched_first() {
        let kit = Kit {
            place: "s3://acme/shop?endpoint=http://x".to_owned(),
            ..kit()
        };
        let page = kit.render(Lang::En);
        assert!(
            page.contains("aws s3 sync s3://acme/shop ./vault"),
            "{page}"
        );
        assert!(
            page.contains("python3 ./vault/read_vault.py ./vault"),
            "{page}"
        );
    }
}
