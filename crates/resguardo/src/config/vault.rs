//! `[vault]`, from what is written to what holds.

use std::path::Path;

use resguardo_model::WriterId;
use resguardo_model::duration::Span;
use serde_json::Value;

use super::file::{Leaf, VaultFile};
use super::load::Overrides;
use super::location::vault_url;
use super::problem::Problem;
use super::resolver::Resolver;
use super::store::StoreFile;
use super::{KeyPlace, Origin, Setting, VaultSettings};

/// Of databases level 1 makes as little as level 3, in three quarters of the time (docs/decisions/0007).
const COMPRESSION_LEVEL: i32 = 1;
/// The shortest grace.
const PRUNE_GRACE_MIN: Span = Span::from_seconds(3_600);

impl Resolver<'_> {
    pub(super) fn vault(&mut self, file: &VaultFile, overrides: &Overrides) -> VaultSettings {
        let url = self.vault_place(file, overrides);
        let level = self.with_default(
            "vault.compression_level",
            file.compression_level.as_ref(),
            COMPRESSION_LEVEL,
        );
        if let Some(leaf) = file.compression_level.as_ref()
            && !(1..=19).contains(&level)
        {
            let message = format!("{level} is not a compression level");
            self.problems
                .push(Problem::at(leaf.span(), message, "1 to 19"));
        }
        let prune_grace = self.prune_grace(file);
        let flag = overrides.identity.as_deref();
        let identity = self.key_place(
            "vault.identity",
            flag.map(|path| ("--identity", path)),
            "RESGUARDO_IDENTITY",
            file.identity.as_ref(),
        );
        let write_key = self.key_place(
            "vault.write_key",
            None,
            "RESGUARDO_WRITE_KEY",
            file.write_key.as_ref(),
        );
        let passphrase = self.secret_or("vault.passphrase", file.passphrase.as_ref(), &[]);
        let place = url.as_ref().map(|setting| setting.value.clone());
        let store = self.store_settings(
            "vault",
            place.as_deref(),
            &StoreFile {
                endpoint: file.endpoint.as_ref(),
                region: file.region.as_ref(),
                path_style: file.path_style.as_ref(),
                access_key: file.access_key.as_ref(),
                secret_key: file.secret_key.as_ref(),
                profile: file.profile.as_ref(),
                sse: file.sse.as_ref(),
                storage_class: file.storage_class.as_ref(),
                credentials_file: file.credentials_file.as_ref(),
                account: file.account.as_ref(),
                account_key: file.account_key.as_ref(),
                sas_token: file.sas_token.as_ref(),
            },
        );
        VaultSettings {
            url,
            identity,
            passphrase,
            write_key,
            trusted_writers: self.trusted_writers(file),
            compression_level: level,
            prune_grace,
            store,
        }
    }

    fn prune_grace(&mut self, file: &VaultFile) -> Option<Span> {
        let leaf = file.prune_grace.as_ref()?;
        let grace = self.optional("vault.prune_grace", Some(leaf))?;
        if grace.span < PRUNE_GRACE_MIN {
            let message = format!("{} is too short a grace", grace.as_str());
            self.problems.push(
                Problem::at(leaf.span(), message, "1h or longer")
                    .with_hint("no backup may take longer than it: 24h is the default"),
            );
        }
        Some(grace.span)
    }

    fn vault_place(&mut self, file: &VaultFile, overrides: &Overrides) -> Option<Setting<String>> {
        let started_in = self.ambient.folder.clone();
        let setting = if let Some(url) = &overrides.vault {
            Setting {
                value: vault_url(url, &started_in),
                origin: Origin::Flag("--vault"),
            }
        } else if let Some((name, url)) = self.ambient.first_of(&["RESGUARDO_VAULT"]) {
            Setting {
                value: vault_url(url, &started_in),
                origin: Origin::Variable(name.to_owned()),
            }
        } else {
            match self.replaced(file.url.as_ref()?) {
                Ok(setting) => Setting {
                    value: vault_url(&setting.value, self.folder),
                    ..setting
                },
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            }
        };
        self.record(
            "vault.url",
            Value::from(setting.value.clone()),
            setting.origin.clone(),
        );
        Some(setting)
    }

    fn trusted_writers(&mut self, file: &VaultFile) -> Vec<WriterId> {
        let leaf = file.trusted_writers.as_ref();
        let texts = self.optional("vault.trusted_writers", leaf);
        let (mut writers, mut wrong) = (Vec::new(), Vec::new());
        for text in texts.unwrap_or_default() {
            match text.parse() {
                Ok(writer) => writers.push(writer),
                Err(_) => wrong.push(text),
            }
        }
        if let (Some(leaf), Some(text)) = (leaf, wrong.first()) {
            let message = format!("{text:?} is no writer");
            let problem = Problem::at(leaf.span(), message, "ed25519: and 64 digits")
                .with_hint("the recovery kit of each host names its writer");
            self.problems.push(problem);
        }
        writers
    }

    /// A key's place, from a flag, a variable or the file.
    fn key_place(
        &mut self,
        key: &str,
        flag: Option<(&'static str, &Path)>,
        variable: &'static str,
        leaf: Option<&Leaf<String>>,
    ) -> Option<Setting<KeyPlace>> {
        let started_in = self.ambient.folder.clone();
        let setting = if let Some((name, path)) = flag {
            Setting {
                value: KeyPlace::parse(&path.to_string_lossy(), &started_in),
                origin: Origin::Flag(name),
            }
        } else if let Some(text) = self.ambient.variable(variable) {
            Setting {
                value: KeyPlace::parse(text, &started_in),
                origin: Origin::Variable(variable.to_owned()),
            }
        } else {
            match self.replaced(leaf?) {
                Ok(setting) => Setting {
                    value: KeyPlace::parse(&setting.value, self.folder),
                    origin: setting.origin,
                },
                Err(problem) => {
                    self.problems.push(problem);
                    return None;
                }
            }
        };
        let shown = Value::from(setting.value.to_string());
        self.record(key, shown, setting.origin.clone());
        Some(setting)
    }
}
