//! Whether what was set as credentials can be such, before anything is asked: what is wrong with it is told by
//! the name under which it was set, and never by its content.

use std::path::Path;

use serde_json::Value;

use crate::error::Failure;

/// The file of a Google service account's key, or of a user's own login.
///
/// # Errors
/// If it cannot be read, or is neither.
pub(super) fn google_file(path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io("reading the credentials", path, &error))?;
    google_text(&text).map_err(|why| {
        Failure::user(format!("the credentials {} {why}", path.display())).hint(
            "name the key of a service account with credentials_file below [vault], or GOOGLE_APPLICATION_CREDENTIALS",
        )
    })
}

fn google_text(text: &str) -> Result<(), String> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Err("are no JSON object".to_owned());
    };
    let needed = match fields.get("type").and_then(Value::as_str) {
        Some("service_account") => ["client_email", "private_key", "private_key_id"],
        Some("authorized_user") => ["client_id", "client_secret", "refresh_token"],
        Some(other) => return Err(format!("are of the type {other:?}, which is not supported")),
        None => return Err("lack the field type".to_owned()),
    };
    let is_there = |name: &&str| fields.get(*name).is_some_and(Value::is_string);
    match needed.iter().find(|name| !is_there(name)) {
        Some(missing) => Err(format!("lack the field {missing}")),
        None => Ok(()),
    }
}

/// The key of an Azure account.
///
/// # Errors
/// If it is no base64.
pub(super) fn azure_key(key: &str) -> Result<(), Failure> {
    let digits = key.trim_end_matches('=');
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_base64 = !digits.is_empty()
        && key.len().is_multiple_of(4)
        && key.len() - digits.len() <= 2
        && digits.bytes().all(is_digit);
    if is_base64 {
        return Ok(());
    }
    Err(Failure::user(
        "account_key (AZURE_STORAGE_KEY) is no key of a storage account: it is not base64",
    )
    .hint("copy it from the account's access keys"))
}

/// A shared access signature of Azure.
///
/// # Errors
/// If it is no list of pairs with a signature among them.
pub(super) fn azure_signature(token: &str) -> Result<(), Failure> {
    let mut names = token
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| pair.trim().split_once('=').map(|(name, _)| name));
    let mut is_signed = false;
    let are_pairs = names.all(|name| {
        is_signed |= name == Some("sig");
        name.is_some()
    });
    if are_pairs && is_signed {
        return Ok(());
    }
    Err(Failure::user(
        "sas_token (AZURE_STORAGE_SAS_TOKEN) is no shared access signature: it is not made of pairs like sv=...&sig=...",
    )
    .hint("make one for the container, with the permissions of docs/guide/stores.md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_google_file_is_told_by_what_it_lacks() {
        let whole = r#"{"type":"service_account","client_email":"a@b","private_key":"geheim","private_key_id":"1"}"#;
        assert_eq!(google_text(whole), Ok(()));
        for (text, word) in [
            (
                whole.replace("private_key\"", "key\""),
                "lack the field private_key",
            ),
            (
                whole.replace("service_account", "external_account"),
                "external_account",
            ),
            (whole.replace("\"type\"", "\"typ\""), "lack the field type"),
            ("geheim".to_owned(), "no JSON"),
        ] {
            let why = google_text(&text).unwrap_err();
            assert!(why.contains(word) && !why.contains("geheim"), "{why}");
        }
    }

    #[test]
    fn an_azure_key_is_base64() {
        for good in ["bm90IHRoZSBrZXk=", "AAAA", "ab+/"] {
            assert!(azure_key(good).is_ok(), "{good}");
        }
        for bad in ["", "geheim!", "abc", "a===", "geheim geheim=="] {
            let failure = azure_key(bad).unwrap_err();
            assert!(failure.message.contains("AZURE_STORAGE_KEY"));
            assert!(!failure.in_a_line().contains("geheim"), "{bad}");
        }
    }

    #[test]
    fn a_signature_is_made_of_pairs() {
        for good in ["?sv=2024-11-04&sig=a%3D", "sv=1&sig=x&"] {
            assert!(azure_signature(good).is_ok(), "{good}");
        }
        for bad in ["", "geheim", "sv=1&sp=rl", "sig=x&geheim"] {
            let failure = azure_signature(bad).unwrap_err();
            assert!(failure.message.contains("AZURE_STORAGE_SAS_TOKEN"));
            assert!(!failure.in_a_line().contains("geheim"), "{bad}");
        }
    }
}
