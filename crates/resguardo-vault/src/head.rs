//! Heads on the wire: one line, plain and signed. `docs/format.md`, "Heads: the commit".

use data_encoding::HEXLOWER;
use resguardo_model::{Head, WriterId};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::keys::{self, WriteKey};

/// What a signature is over begins with this, so that no other signed text can pass for a head.
const DOMAIN: &[u8] = b"resguardo-head-v1\n";

/// Numbers of heads and receipts: from 1, and never so high that there is no next one.
pub(crate) const SEQUENCES: std::ops::Range<u64> = 1..u64::MAX;

/// Whether a head or receipt can follow number `sequence`: what is written must not be refused when it is read.
pub(crate) fn has_next(sequence: u64) -> bool {
    sequence
        .checked_add(1)
        .is_some_and(|next| SEQUENCES.contains(&next))
}

/// What is wrong with the bytes of a head.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeadError {
    /// It is not of the shape.
    #[error("it is no head: {0}")]
    Malformed(String),
    /// It is of a newer Resguardo, and its signature is good.
    #[error("it has format {format}, this version of Resguardo reads format 1")]
    NewerFormat {
        /// Its format.
        format: u32,
        /// Who signed it.
        writer: WriterId,
    },
    /// The signature is not its writer's.
    #[error("its signature does not match its writer")]
    Forged,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    signature: String,
}

/// Signs a head.
pub(crate) fn sign(head: &Head, key: &WriteKey) -> Vec<u8> {
    let json = serde_json::to_string(head).expect("strings and numbers always serialise");
    let signature = HEXLOWER.encode(&key.sign(&message(&json)));
    format!("{{\"head\":{json},\"signature\":\"{signature}\"}}\n").into_bytes()
}

/// Reads a head and checks its signature; whether its writer is trusted is the caller's question.
///
/// # Errors
/// Its own error, which says what is wrong.
pub fn parse(bytes: &[u8]) -> Result<Head, HeadError> {
    let malformed = |error: serde_json::Error| HeadError::Malformed(error.to_string());
    let signed: Signed<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
    let json = signed.head.get();
    // The signature comes first: an unsigned word about a newer format is nobody's word.
    #[derive(Deserialize)]
    struct Signer {
        format: u32,
        writer: WriterId,
    }
    let Signer { format, writer } = serde_json::from_str(json).map_err(malformed)?;
    let signature = HEXLOWER
        .decode(signed.signature.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
        .ok_or_else(|| {
            HeadError::Malformed("the signature is not 128 hexadecimal digits".to_owned())
        })?;
    if !keys::signed_by(writer, &message(json), &signature) {
        return Err(HeadError::Forged);
    }
    if format > 1 {
        return Err(HeadError::NewerFormat { format, writer });
    }
    let head: Head = serde_json::from_str(json).map_err(malformed)?;
    if !SEQUENCES.contains(&head.sequence) {
        let what = format!("no head has number {}", head.sequence);
        return Err(HeadError::Malformed(what));
    }
    Ok(head)
}

fn message(json: &str) -> Vec<u8> {
    [DOMAIN, json.as_bytes()].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;
    use resguardo_model::{EngineKind, ObjectRef, Reason, Sha256Digest};

    use super::*;

    pub(crate) fn example(key: &WriteKey) -> Head {
        let object = ObjectRef {
            sha256: Sha256Digest::of(b"an object"),
            bytes: 9,
        };
        Head {
            format: 1,
            vault: key.vault(),
            source: "shop".parse().unwrap(),
            backup: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            engine: EngineKind::Sqlite,
            reason: Reason::manual(),
            taken_at: Timestamp::UNIX_EPOCH,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            raw_bytes: 4096,
            stored_bytes: 9,
            writer: key.writer(),
            sequence: 1,
            previous: None,
            manifest: object.clone(),
            index: vec![],
            packs: vec![object],
        }
    }

    pub(crate) fn key() -> WriteKey {
        let (_, recipient) = crate::generate_identity(Timestamp::UNIX_EPOCH);
        let vault = "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap();
        WriteKey::generate(vault, vec![recipient], Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_signed_head_is_read_and_any_change_is_found() {
        let key = key();
        let head = example(&key);
        let bytes = sign(&head, &key);
        assert_eq!(parse(&bytes), Ok(head.clone()));

        let text = String::from_utf8(bytes).unwrap();
        let forged = text.replace("\"raw_bytes\":4096", "\"raw_bytes\":4097");
        assert_eq!(parse(forged.as_bytes()), Err(HeadError::Forged));
        let respaced = text.replace("\"format\":1,", "\"format\": 1,");
        assert_eq!(
            parse(respaced.as_bytes()),
            Err(HeadError::Forged),
            "the bytes are signed, not the meaning"
        );
        let other = WriteKey::generate(
            key.vault(),
            key.recipients().to_vec(),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let stolen = sign(
            &Head {
                writer: key.writer(),
                ..head.clone()
            },
            &other,
        );
        assert_eq!(parse(&stolen), Err(HeadError::Forged));
        let newer = sign(&Head { format: 2, ..head }, &key);
        assert_eq!(
            parse(&newer),
            Err(HeadError::NewerFormat {
                format: 2,
                writer: key.writer()
            })
        );
        for broken in [
            "",
            "{}",
            "null",
            &text[..text.len() / 2],
            &text.replace("\"signature\":\"", "\"signature\":\"zz"),
        ] {
            assert!(
                matches!(parse(broken.as_bytes()), Err(HeadError::Malformed(_))),
                "{broken}"
            );
        }
    }
}
