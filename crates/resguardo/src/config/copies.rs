//! `[vault] copies`, from what is written to what holds.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use resguardo_model::SourceName;
use resguardo_model::retention::Policy;
use resguardo_store::wrap::Bandwidth;
use serde_json::Value;

use super::Setting;
use super::file::{CopyFile, CopyTable, Leaf, VaultFile};
use super::location::{shown_place, vault_url};
use super::problem::Problem;
use super::resolver::Resolver;
use super::store::{StoreFile, StoreSettings};
use crate::ambient::Ambient;

/// A copy and how it is reached and kept.
#[derive(Clone, Debug)]
pub struct CopySettings {
    /// What it is called.
    pub name: String,
    /// An absolute folder or a URL.
    pub url: String,
    /// How its place is reached.
    pub store: StoreSettings,
    /// Most bytes per second.
    pub bandwidth: Option<Bandwidth>,
    /// How long backups are kept there; `None`: as their environment says.
    pub retention: Option<Policy>,
}

impl CopySettings {
    /// A copy that was named by its URL on the command line; what it is reached with is of the environment.
    #[must_use]
    pub fn of_url(ambient: &Ambient, url: &str) -> Self {
        let url = vault_url(url, &ambient.folder);
        let mut resolver = Resolver {
            ambient,
            text: "",
            folder: &ambient.folder,
            entries: Vec::new(),
            problems: Vec::new(),
        };
        let store = resolver.store_settings("vault.copies", Some(&url), &StoreFile::default());
        Self {
            name: name_of(&url),
            url,
            store,
            bandwidth: None,
            retention: None,
        }
    }
}

impl Resolver<'_> {
    /// The copies of the vault at `vault`.
    pub(super) fn copies(
        &mut self,
        file: &VaultFile,
        vault: Option<&Setting<String>>,
        zone: &TimeZone,
    ) -> Vec<CopySettings> {
        let mut copies: Vec<CopySettings> = Vec::new();
        let mut names = BTreeSet::new();
        for leaf in &file.copies {
            let Some(copy) = self.copy(leaf, zone) else {
                continue;
            };
            // Whoever names the copy itself as the vault reads from it: it is no copy of itself.
            let is_vault = vault.is_some_and(|vault| vault.value == copy.url);
            if is_vault && vault.is_some_and(|vault| !vault.is_of_file()) {
                continue;
            }
            if is_vault {
                let message = format!("{} is the vault itself", shown_place(&copy.url));
                self.problems
                    .push(Problem::at(leaf.span(), message, "another place"));
            } else if !names.insert(copy.name.clone()) {
                let message = format!("two copies are called {}", copy.name);
                self.problems.push(
                    Problem::at(leaf.span(), message, "another name")
                        .with_hint("give each a name: { url = \"...\", name = \"offsite\" }"),
                );
            }
            copies.push(copy);
        }
        copies
    }

    fn copy(&mut self, leaf: &Leaf<CopyFile>, zone: &TimeZone) -> Option<CopySettings> {
        let nothing = CopyTable::default();
        let written;
        let (table, url) = match leaf.get() {
            CopyFile::Url(url) => {
                written = Leaf::at(leaf.span(), url.clone());
                (&nothing, &written)
            }
            CopyFile::Table(table) => match &table.url {
                Some(url) => (&**table, url),
                None => {
                    let problem =
                        Problem::at(leaf.span(), "a copy has a url", "url = \"s3://...\"");
                    self.problems.push(problem);
                    return None;
                }
            },
        };
        let setting = match self.replaced(url) {
            Ok(setting) => setting,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let place = vault_url(&setting.value, self.folder);
        let name = self.copy_name(table, &place);
        let key = format!("vault.copies.{name}");
        let shown = Value::from(place.clone());
        self.record(format!("{key}.url"), shown, setting.origin);
        let store = self.store_settings(
            &key,
            Some(&place),
            &StoreFile {
                endpoint: table.endpoint.as_ref(),
                region: table.region.as_ref(),
                path_style: table.path_style.as_ref(),
                access_key: table.access_key.as_ref(),
                secret_key: table.secret_key.as_ref(),
                profile: table.profile.as_ref(),
                sse: table.sse.as_ref(),
                storage_class: table.storage_class.as_ref(),
                credentials_file: table.credentials_file.as_ref(),
                account: table.account.as_ref(),
                account_key: table.account_key.as_ref(),
                sas_token: table.sas_token.as_ref(),
            },
        );
        Some(CopySettings {
            store,
            bandwidth: self.bandwidth(&key, table.bandwidth.as_ref()),
            retention: self.retention(&format!("{key}.retention"), table.retention.as_ref(), zone),
            name,
            url: place,
        })
    }

    fn copy_name(&mut self, table: &CopyTable, place: &str) -> String {
        let Some(leaf) = &table.name else {
            return name_of(place);
        };
        if leaf.get().parse::<SourceName>().is_err() {
            let message = format!("{:?} is no name of a copy", leaf.get());
            let problem = Problem::at(leaf.span(), message, "1 to 63 of a-z, 0-9, _ and -");
            self.problems.push(problem);
        }
        leaf.get().clone()
    }

    fn bandwidth(&mut self, key: &str, leaf: Option<&Leaf<String>>) -> Option<Bandwidth> {
        let leaf = leaf?;
        let text = self.optional(&format!("{key}.bandwidth"), Some(leaf))?;
        match text.parse() {
            Ok(bandwidth) => Some(bandwidth),
            Err(error) => {
                let error: resguardo_store::wrap::BandwidthError = error;
                let problem = Problem::at(leaf.span(), error.to_string(), "like 10MB/s");
                self.problems.push(problem);
                None
            }
        }
    }
}

/// The bucket, container or last folder of a place, as a name.
fn name_of(place: &str) -> String {
    let path = match place.split_once("://") {
        Some((_, rest)) => {
            let host = rest.split(['/', '?']).next().unwrap_or(rest);
            host.rsplit_once('@').map_or(host, |(_, host)| host)
        }
        None => {
            let mut parts = place.rsplit('/').filter(|part| !part.is_empty());
            parts.next().unwrap_or(place)
        }
    };
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = path
        .to_ascii_lowercase()
        .chars()
        .map(|c| if is_fit(c) { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_start_matches(['-', '_']);
    if name.is_empty() {
        "copy".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_copy_is_called_like_its_place() {
        for (place, name) in [
            ("s3://acme-backups/shop", "acme-backups"),
            ("s3://acme.backups?region=eu", "acme-backups"),
            ("az://Container/x", "container"),
            ("/mnt/usb/Vault/", "vault"),
            ("/mnt/.ñ", "copy"),
        ] {
            assert_eq!(name_of(place), name, "{place}");
            assert!(name.parse::<resguardo_model::SourceName>().is_ok());
        }
    }
}
