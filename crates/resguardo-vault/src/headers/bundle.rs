//! A bundle on the wire: JSON Lines, signed by its writer. `docs/format.md`, "Further headers".
//!
//! Who looks only for a header that opens needs no signature: a header proves itself. Whoever counts, copies or keeps
//! bundles believes those that are signed.

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use resguardo_model::{Sha256Digest, SourceName, VaultId, WriterId};
use serde::{Deserialize, Serialize};

use crate::keys::{self, WriteKey};

/// What its signature begins with.
const DOMAIN: &[u8] = b"resguardo-headers-v1\n";

/// Another header of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Further {
    /// Length of the object's own header.
    pub(super) header_bytes: u64,
    /// What stands in its place.
    pub(super) header: Vec<u8>,
}

/// Further headers of objects of one source, by the digests of the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    pub(super) recipients: Vec<String>,
    /// Names of the objects, below the source, and their digests.
    pub(super) objects: Vec<(String, Sha256Digest)>,
    pub(super) headers: HashMap<Sha256Digest, Further>,
    /// Who signed it, if anybody did.
    pub(super) signer: Option<WriterId>,
}

#[derive(Serialize, Deserialize)]
struct Begin {
    format: u32,
    vault: VaultId,
    source: SourceName,
    created_at: Timestamp,
    recipients: Vec<String>,
    #[serde(default)]
    writer: Option<WriterId>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    object: String,
    sha256: Sha256Digest,
    header_bytes: u64,
    header: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: Objects,
    #[serde(default)]
    signature: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Objects {
    objects: u64,
}

/// Where a bundle belongs, and for whom it is.
pub(super) struct Place<'a> {
    pub(super) vault: VaultId,
    pub(super) source: &'a SourceName,
    pub(super) created_at: Timestamp,
    pub(super) recipients: &'a [String],
}

/// The bundle of these objects: name below the source, digest, further header.
pub(super) fn write(
    place: &Place<'_>,
    headers: &[(String, Sha256Digest, Further)],
    key: &WriteKey,
) -> Vec<u8> {
    let mut text = Vec::new();
    let begin = Begin {
        format: 1,
        vault: place.vault,
        source: place.source.clone(),
        created_at: place.created_at,
        recipients: place.recipients.to_vec(),
        writer: Some(key.writer()),
    };
    push(&mut text, &begin);
    for (object, sha256, further) in headers {
        let line = Line {
            object: object.clone(),
            sha256: *sha256,
            header_bytes: further.header_bytes,
            header: BASE64_STANDARD.encode(&further.header),
        };
        push(&mut text, &line);
    }
    let objects = headers.len() as u64;
    let signature = HEXLOWER.encode(&key.sign(&message(&text)));
    push(
        &mut text,
        &End {
            end: Objects { objects },
            signature: Some(signature),
        },
    );
    text
}

/// What is signed: every line but the last.
fn message(lines: &[u8]) -> Vec<u8> {
    [DOMAIN, lines].concat()
}

/// The writer that the first line names, if the signature of the last is his.
fn signer(bytes: &[u8], writer: Option<WriterId>, signature: Option<&str>) -> Option<WriterId> {
    let text = bytes.strip_suffix(b"\n")?;
    let last = text.iter().rposition(|byte| *byte == b'\n')? + 1;
    let signature = HEXLOWER.decode(signature?.as_bytes()).ok()?;
    let signature = <[u8; 64]>::try_from(signature).ok()?;
    writer.filter(|writer| keys::signed_by(*writer, &message(&bytes[..last]), &signature))
}

fn push(text: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *text, line).expect("strings and numbers always serialise");
    text.push(b'\n');
}

impl Bundle {
    /// Reads a bundle; `None` if it is none, is cut off, or belongs elsewhere.
    pub(super) fn parse(bytes: &[u8], vault: VaultId, source: &SourceName) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines: Vec<&str> = text.lines().collect();
        let End { end, signature } = serde_json::from_str(lines.pop()?).ok()?;
        let mut lines = lines.into_iter();
        let begin: Begin = serde_json::from_str(lines.next()?).ok()?;
        if begin.format != 1 || begin.vault != vault || begin.source != *source {
            return None;
        }
        let (mut objects, mut headers) = (Vec::new(), HashMap::new());
        for line in lines {
            let line: Line = serde_json::from_str(line).ok()?;
            objects.push((line.object, line.sha256));
            let further = Further {
                header_bytes: line.header_bytes,
                header: BASE64_STANDARD.decode(&line.header).ok()?,
            };
            headers.insert(line.sha256, further);
        }
        let whole = headers.len() as u64 == end.objects;
        whole.then_some(Self {
            recipients: begin.recipients,
            objects,
            headers,
            signer: signer(bytes, begin.writer, signature.as_deref()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_survives_and_a_broken_one_is_none() {
        let vault: VaultId = "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap();
        let source: SourceName = "shop".parse().unwrap();
        let recipients = ["age1bea".to_owned()];
        let place = Place {
            vault,
            source: &source,
            created_at: Timestamp::UNIX_EPOCH,
            recipients: &recipients,
        };
        let further = Further {
            header_bytes: 200,
            header: b"age-encryption.org/v1\n".to_vec(),
        };
        let sha256 = Sha256Digest::of(b"an object");
        let new_key = || {
            let (_, recipient) = crate::generate_identity(Timestamp::UNIX_EPOCH);
            WriteKey::generate(vault, vec![recipient], Timestamp::UNIX_EPOCH).unwrap()
        };
        let key = new_key();
        let text = write(
            &place,
            &[("packs/x.age".to_owned(), sha256, further.clone())],
            &key,
        );
        let read = Bundle::parse(&text, vault, &source).unwrap();
        assert_eq!(read.signer, Some(key.writer()));
        assert_eq!(read.recipients, recipients);
        assert_eq!(read.objects, [("packs/x.age".to_owned(), sha256)]);
        assert_eq!(read.headers, HashMap::from([(sha256, further)]));
        for cut in 0..text.len() - 1 {
            assert_eq!(Bundle::parse(&text[..cut], vault, &source), None, "{cut}");
        }
        assert_eq!(Bundle::parse(&text, vault, &"other".parse().unwrap()), None);
        // Whatever is changed in it, it is signed by nobody.
        let other = new_key();
        let text = String::from_utf8(text).unwrap();
        for (from, to) in [
            ("age1bea", "age1eve"),
            ("packs/x.age", "packs/y.age"),
            (":200,", ":201,"),
            ("\n", "\r\n"),
            ("\n{\"end\"", "\n {\"end\""),
            ("\"signature\":\"", "\"signature\":\"00"),
            ("\"signature\"", "\"sign\""),
            (&key.writer().to_string(), &other.writer().to_string()),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            let read = Bundle::parse(changed.as_bytes(), vault, &source);
            let signer = read.and_then(|read| read.signer);
            let is_of_the_last_line = from.contains("end");
            assert_eq!(signer.is_some(), is_of_the_last_line, "{from}");
        }
    }
}
