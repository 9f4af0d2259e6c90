//! The files that Amazon's own tools share: `~/.aws/credentials` and `~/.aws/config`.
//!
//! Read: keys, token, region and endpoint of one profile. What only Amazon's tools can do (SSO, roles of other
//! profiles, programs) is refused by name where the profile was asked for.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use crate::config::store::AwsProfile;
use crate::error::Failure;

/// What a profile says.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Access key and secret.
    pub(super) keys: Option<(String, SecretString)>,
    /// Token of a temporary key.
    pub(super) token: Option<SecretString>,
    /// Region.
    pub(super) region: Option<String>,
    /// URL of a server that is not Amazon's.
    pub(super) endpoint: Option<String>,
}

type Section = BTreeMap<String, String>;

/// Reads the profile; without a name `default`, which need not be there.
///
/// # Errors
/// If a profile that was named is in neither file, or has no keys of its own.
pub(super) fn read(wanted: &AwsProfile) -> Result<Profile, Failure> {
    let name = wanted.name.as_deref().unwrap_or("default");
    let mut section = Section::new();
    let mut found = false;
    let in_config = if name == "default" {
        "default".to_owned()
    } else {
        format!("profile {name}")
    };
    for (path, title) in [
        (wanted.config.as_deref(), in_config.as_str()),
        (wanted.credentials.as_deref(), name),
    ] {
        if let Some(there) = path
            .map(|path| section_of(path, title))
            .transpose()?
            .flatten()
        {
            found = true;
            section.extend(there);
        }
    }
    let field = |name: &str| section.get(name).filter(|value| !value.is_empty()).cloned();
    let profile = Profile {
        keys: field("aws_access_key_id")
            .zip(field("aws_secret_access_key").map(SecretString::from)),
        token: field("aws_session_token").map(SecretString::from),
        region: field("region"),
        endpoint: field("endpoint_url"),
    };
    match &wanted.name {
        Some(name) if !found => Err(Failure::user(format!(
            "there is no profile {name} in {}",
            shown(wanted)
        ))
        .hint("see the profiles with `aws configure list-profiles`")),
        Some(name) if profile.keys.is_none() => Err(Failure::user(format!(
            "the profile {name} has no keys of its own"
        ))
        .hint(format!(
            "hand its keys over: eval \"$(aws configure export-credentials --profile {name} --format env)\", without profile"
        ))),
        _ => Ok(profile),
    }
}

fn shown(wanted: &AwsProfile) -> String {
    [&wanted.credentials, &wanted.config]
        .into_iter()
        .flatten()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(" or ")
}

/// One section of a file; `None` if there is no such file or section.
fn section_of(path: &Path, title: &str) -> Result<Option<Section>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(section_in(&text, title)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::io("reading the profile", path, &error)),
    }
}

fn section_in(text: &str, title: &str) -> Option<Section> {
    let mut inside = None;
    for line in text.lines() {
        // Settings below a setting are indented, and are none of ours.
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.starts_with(['#', ';']) || line.is_empty() {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            let words: Vec<_> = name.split_whitespace().collect();
            match &inside {
                Some(_) => break,
                None if words.join(" ") == title => inside = Some(Section::new()),
                None => {}
            }
        } else if let (Some(section), Some((name, value)), false) =
            (&mut inside, line.split_once('='), is_nested)
        {
            section.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    inside
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes a user's files"
)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn files(name: Option<&str>) -> (tempfile::TempDir, AwsProfile) {
        let home = tempfile::tempdir().unwrap();
        let credentials = home.path().join("credentials");
        let config = home.path().join("config");
        let text = "# mine\n[default]\naws_access_key_id = AKIAD\naws_secret_access_key=d\n\n[backup]\naws_access_key_id = AKIAB\naws_secret_access_key = b=\naws_session_token = t\n";
        std::fs::write(&credentials, text).unwrap();
        let text = "[profile backup]\nregion = sa-east-1\ns3 =\n  endpoint_url = no\n[profile sso]\nsso_session = x\n";
        std::fs::write(&config, text).unwrap();
        let wanted = AwsProfile {
            name: name.map(ToOwned::to_owned),
            credentials: Some(credentials),
            config: Some(config),
        };
        (home, wanted)
    }

    #[test]
    fn a_profile_is_read_from_both_files() {
        let (_home, wanted) = files(Some("backup"));
        let profile = read(&wanted).unwrap();
        let (id, secret) = profile.keys.unwrap();
        assert_eq!((id.as_str(), secret.expose_secret()), ("AKIAB", "b="));
        assert_eq!(profile.token.unwrap().expose_secret(), "t");
        assert_eq!(profile.region.as_deref(), Some("sa-east-1"));
        assert_eq!(profile.endpoint, None);
        let (_home, wanted) = files(None);
        assert_eq!(read(&wanted).unwrap().keys.unwrap().0, "AKIAD");
    }

    #[test]
    fn what_a_profile_lacks_is_said() {
        let (_home, wanted) = files(Some("nobody"));
        let error = read(&wanted).unwrap_err();
        assert!(error.message.contains("no profile nobody"), "{error:?}");
        let (_home, wanted) = files(Some("sso"));
        let error = read(&wanted).unwrap_err();
        assert!(error.message.contains("no keys of its own"), "{error:?}");
        let nothing = read(&AwsProfile::default()).unwrap();
        assert!(nothing.keys.is_none(), "a machine's role is asked then");
    }
}
