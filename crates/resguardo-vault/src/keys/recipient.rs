//! Recipients: the public keys that a vault is sealed to. X25519 (`age1...`), SSH keys, and whatever an
//! age plugin stands for (`age1yubikey1...`).

use std::sync::Arc;

use age::ssh::ParseRecipientKeyError;
use age::{plugin, ssh, x25519};

use super::KeyError;

/// Recipients that can be sealed to.
pub(crate) type Recipients = Vec<Arc<dyn age::Recipient + Send + Sync>>;

/// A recipient whose text is right. A plugin is looked for only when it is sealed to.
enum Parsed {
    X25519(x25519::Recipient),
    Ssh(ssh::Recipient),
    Plugin(plugin::Recipient),
}

fn parse(text: &str) -> Result<Parsed, KeyError> {
    let text = text.trim();
    let begins = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if begins("AGE-SECRET-KEY-") || begins("AGE-PLUGIN-") || begins("-----BEGIN") {
        return Err(KeyError::SecretAsRecipient);
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
        return parse_ssh(text);
    }
    if let Ok(recipient) = text.parse() {
        return Ok(Parsed::X25519(recipient));
    }
    text.parse()
        .map(Parsed::Plugin)
        .map_err(|_| KeyError::NotARecipient(text.to_owned()))
}

fn parse_ssh(text: &str) -> Result<Parsed, KeyError> {
    let kind = text.split(' ').next().unwrap_or(text).to_owned();
    let unsupported = |kind, why| KeyError::UnsupportedSshKey { kind, why };
    text.parse().map(Parsed::Ssh).map_err(|error| match error {
        ParseRecipientKeyError::RsaModulusTooLarge => {
            unsupported(kind, "this one is longer than 4096 bits")
        }
        ParseRecipientKeyError::RsaModulusTooSmall => {
            unsupported(kind, "this one is shorter than 2048 bits")
        }
        ParseRecipientKeyError::Unsupported(kind) => {
            unsupported(kind, "only ssh-ed25519 and ssh-rsa can be encrypted to")
        }
        _ if kind.starts_with("sk-") || kind.starts_with("ecdsa-") => {
            unsupported(kind, "only ssh-ed25519 and ssh-rsa can be encrypted to")
        }
        _ => KeyError::NotARecipient(text.to_owned()),
    })
}

/// Whether the text is a recipient that a vault can have.
///
/// # Errors
/// [`KeyError::NotARecipient`], [`KeyError::SecretAsRecipient`], [`KeyError::UnsupportedSshKey`].
pub fn check_recipient(text: &str) -> Result<(), KeyError> {
    parse(text).map(|_| ())
}

/// The recipient as it is written down: an SSH key without its comment.
///
/// # Errors
/// As [`check_recipient`].
pub fn canonical_recipient(text: &str) -> Result<String, KeyError> {
    Ok(match parse(text)? {
        Parsed::X25519(recipient) => recipient.to_string(),
        Parsed::Ssh(recipient) => recipient.to_string(),
        Parsed::Plugin(recipient) => recipient.to_string(),
    })
}

/// Whether all texts are recipients, and there is one at least.
pub(super) fn check_all(recipients: &[String]) -> Result<(), KeyError> {
    if recipients.is_empty() {
        return Err(KeyError::NoRecipients);
    }
    recipients.iter().try_for_each(|text| check_recipient(text))
}

/// The recipients, ready to be sealed to: their plugins are there.
///
/// # Errors
/// As [`check_recipient`]; [`KeyError::NoRecipients`], [`KeyError::PluginMissing`].
pub(crate) fn resolve(recipients: &[String]) -> Result<Recipients, KeyError> {
    check_all(recipients)?;
    let resolve = |text: &String| -> Result<Arc<dyn age::Recipient + Send + Sync>, KeyError> {
        Ok(match parse(text)? {
            Parsed::X25519(recipient) => Arc::new(recipient),
            Parsed::Ssh(recipient) => Arc::new(recipient),
            Parsed::Plugin(recipient) => {
                let name = recipient.plugin().to_owned();
                let found =
                    plugin::RecipientPluginV1::new(&name, &[recipient], &[], age::NoCallbacks);
                Arc::new(found.map_err(|_| KeyError::PluginMissing(plugin_binary(&name)))?)
            }
        })
    };
    recipients.iter().map(resolve).collect()
}

/// As age's functions want them.
pub(crate) fn as_dyn(recipients: &Recipients) -> impl Iterator<Item = &dyn age::Recipient> {
    recipients.iter().map(|one| &**one as &dyn age::Recipient)
}

pub(super) fn plugin_binary(name: &str) -> String {
    format!("age-plugin-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    #[test]
    fn a_secret_key_is_refused_and_not_repeated() {
        let (secret, _) = crate::generate_identity(jiff::Timestamp::UNIX_EPOCH);
        let secret = secret.lines().last().unwrap().to_owned();
        for text in [
            &*secret,
            &secret.to_lowercase(),
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "AGE-PLUGIN-X-1QQ",
        ] {
            let error = check_recipient(text).unwrap_err();
            assert!(matches!(error, KeyError::SecretAsRecipient), "{error}");
            assert!(!error.to_string().contains(text));
        }
    }

    #[test]
    fn every_kind_is_known_and_others_are_named() {
        let commented = format!("{ED25519} ana@laptop");
        assert_eq!(canonical_recipient(&commented).unwrap(), ED25519);
        assert!(check_recipient("age1nope").is_err());
        assert!(matches!(
            check_recipient("ssh-ed25519 nonsense"),
            Err(KeyError::NotARecipient(_))
        ));
        let error = check_recipient("sk-ssh-ed25519@openssh.com AAAA").unwrap_err();
        assert!(error.to_string().contains("only ssh-ed25519"), "{error}");
        assert!(matches!(resolve(&[]), Err(KeyError::NoRecipients)));
    }

    #[test]
    fn a_plugin_is_looked_for_when_it_is_sealed_to() {
        let hrp = bech32_of("age1nosuchplugin");
        check_recipient(&hrp).unwrap();
        let Err(error) = resolve(&[hrp]) else {
            panic!("there is no such plugin")
        };
        assert!(
            error.to_string().contains("age-plugin-nosuchplugin"),
            "{error}"
        );
    }

    /// A recipient of a plugin, as its author would make one.
    fn bech32_of(prefix: &str) -> String {
        const CHARSET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        fn polymod(values: &[u8]) -> u32 {
            let mut sum = 1_u32;
            for value in values {
                let top = sum >> 25;
                sum = (sum & 0x1ff_ffff) << 5 ^ u32::from(*value);
                for (bit, part) in [
                    0x3b6a_57b2_u32,
                    0x2650_8e6d,
                    0x1ea1_19fa,
                    0x3d42_33dd,
                    0x2a14_62b3,
                ]
                .iter()
                .enumerate()
                {
                    if top >> bit & 1 == 1 {
                        sum ^= part;
                    }
                }
            }
            sum
        }
        let mut values: Vec<u8> = prefix.bytes().map(|byte| byte >> 5).collect();
        values.push(0);
        values.extend(prefix.bytes().map(|byte| byte & 31));
        values.extend([0; 6]);
        let sum = polymod(&values) ^ 1;
        let check = (0..6).map(|at| char::from(CHARSET[(sum >> (5 * (5 - at)) & 31) as usize]));
        format!("{prefix}1{}", check.collect::<String>())
    }
}
