//! Where this machine keeps its own things: keys, catalog, cache, sandboxes.
//!
//! With `RESGUARDO_HOME` all of it lies there; otherwise in the platform's config, state and cache
//! folders. Nothing of it ever lies in the vault, and nothing but the keys is needed to get data back.

use std::path::{Path, PathBuf};

use resguardo_model::VaultId;

use crate::ambient::Ambient;
use crate::keys::KeyFolder;

/// The folders of this machine. None of them needs to exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    state: PathBuf,
    cache: PathBuf,
    /// Where it comes from: `RESGUARDO_HOME`, `XDG_CONFIG_HOME`, or `the platform's folders`.
    pub origin: &'static str,
}

/// Neither `RESGUARDO_HOME` nor `HOME` is set.
#[derive(Debug, thiserror::Error)]
#[error("there is no home folder: neither RESGUARDO_HOME nor HOME is set")]
pub struct NoHome;

impl Home {
    /// Finds the folders.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn find(ambient: &Ambient) -> Result<Self, NoHome> {
        if let Some(home) = ambient.variable("RESGUARDO_HOME") {
            let home = ambient.absolute(Path::new(home));
            return Ok(Self {
                config: home.clone(),
                cache: home.join("cache"),
                state: home,
                origin: "RESGUARDO_HOME",
            });
        }
        let user = ambient.variable("HOME").map(PathBuf::from);
        let folder = |variable: &str, linux: &str, mac: &str| -> Result<PathBuf, NoHome> {
            let given = ambient.variable(variable).map(PathBuf::from);
            match (given, &user) {
                (Some(given), _) if given.is_absolute() => Ok(given.join("resguardo")),
                (_, Some(user)) => {
                    let below = if cfg!(target_os = "macos") {
                        mac
                    } else {
                        linux
                    };
                    Ok(user.join(below).join("resguardo"))
                }
                (_, None) => Err(NoHome),
            }
        };
        Ok(Self {
            config: folder("XDG_CONFIG_HOME", ".config", "Library/Application Support")?,
            state: folder(
                "XDG_STATE_HOME",
                ".local/state",
                "Library/Application Support",
            )?,
            cache: folder("XDG_CACHE_HOME", ".cache", "Library/Caches")?,
            origin: "the platform's folders",
        })
    }

    /// The keys for one vault.
    #[must_use]
    pub fn keys(&self, vault: VaultId) -> PathBuf {
        self.config.join("keys").join(vault.to_string())
    }

    /// The vault that was at `place` when this machine last opened it.
    #[must_use]
    pub fn vault_at(&self, place: &str) -> Option<VaultId> {
        let folders = std::fs::read_dir(self.config.join("keys")).ok()?;
        folders.filter_map(Result::ok).find_map(|entry| {
            let vault: VaultId = entry.file_name().to_str()?.parse().ok()?;
            let known = KeyFolder::new(entry.path()).place()?;
            (known == place).then_some(vault)
        })
    }

    /// The keys of a vault that is being made and has no id yet.
    #[must_use]
    pub fn keys_of_nascent(&self, place: &str) -> PathBuf {
        let digest = resguardo_model::Sha256Digest::of(place.as_bytes());
        self.config
            .join("keys")
            .join(format!("new-{}", digest.short()))
    }

    /// Catalog and sandboxes.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What can be made again from the vaults.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambient(variables: &[(&str, &str)]) -> Ambient {
        Ambient {
            folder: "/srv".into(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Ambient::default()
        }
    }

    #[test]
    fn resguardo_home_holds_everything() {
        let home = Home::find(&ambient(&[("RESGUARDO_HOME", "rh"), ("HOME", "/h")])).unwrap();
        let vault: VaultId = "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap();
        assert_eq!(
            home.keys(vault),
            Path::new("/srv/rh/keys/01jd8kq2v3m4n5p6q7r8s9t0vw")
        );
        assert_eq!(home.cache(), Path::new("/srv/rh/cache"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn else_the_folders_of_the_platform() {
        let home = Home::find(&ambient(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")])).unwrap();
        assert_eq!(home.config, Path::new("/h/.config/resguardo"));
        assert_eq!(home.state, Path::new("/h/.local/state/resguardo"));
        assert_eq!(home.cache, Path::new("/c/resguardo"));
        // A relative XDG folder is to be ignored, says its specification.
        let home = Home::find(&ambient(&[("HOME", "/h"), ("XDG_CACHE_HOME", "c")])).unwrap();
        assert_eq!(home.cache, Path::new("/h/.cache/resguardo"));
    }

    #[test]
    fn no_home_is_said() {
        assert!(Home::find(&ambient(&[])).is_err());
    }
}
