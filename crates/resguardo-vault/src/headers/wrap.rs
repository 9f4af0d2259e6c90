//! One header: the file key out of the old one, and a new one around it.
//! <https://age-encryption.org/v1>, "Encrypted file format".

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Cursor;

use age::secrecy::ExposeSecret as _;
use age::{DecryptError, Decryptor, EncryptError, Identity};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::hkdf;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keys::{Recipients, as_dyn};

const VERSION_LINE: &str = "age-encryption.org/v1\n";
const COLUMNS: usize = 64;
const NONCE_BYTES: u64 = 16;

/// What the header of an object hides, and how long it is.
pub(super) struct OpenedHeader {
    pub(super) file_key: FileKey,
    pub(super) header_bytes: u64,
}

/// Opens the header at the start of an object; its MAC is checked.
pub(super) fn open_header<'a>(
    start: &[u8],
    identities: impl Iterator<Item = &'a dyn Identity>,
) -> Result<OpenedHeader, DecryptError> {
    let mut cursor = Cursor::new(start);
    let decryptor = Decryptor::new(&mut cursor)?;
    let taken = RefCell::new(None);
    let takers: Vec<_> = identities
        .map(|inner| Taker {
            inner,
            taken: &taken,
        })
        .collect();
    decryptor.decrypt(takers.iter().map(|taker| taker as &dyn Identity))?;
    let file_key = taken.take().ok_or(DecryptError::NoMatchingKeys)?;
    Ok(OpenedHeader {
        file_key,
        header_bytes: cursor.position() - NONCE_BYTES,
    })
}

/// An identity that keeps the file key that it gives.
struct Taker<'a> {
    inner: &'a dyn Identity,
    taken: &'a RefCell<Option<FileKey>>,
}

impl Identity for Taker<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let unwrapped = self.inner.unwrap_stanzas(stanzas);
        if let Some(Ok(file_key)) = &unwrapped {
            *self.taken.borrow_mut() = Some(copy(file_key));
        }
        unwrapped
    }
}

fn copy(file_key: &FileKey) -> FileKey {
    FileKey::new(Box::new(*file_key.expose_secret()))
}

/// A header around the same file key, for other recipients.
pub(super) fn header_for(
    file_key: &FileKey,
    recipients: &Recipients,
) -> Result<Vec<u8>, EncryptError> {
    let mut text = VERSION_LINE.to_owned();
    let mut agreed: Option<HashSet<String>> = None;
    for recipient in as_dyn(recipients) {
        let (stanzas, labels) = recipient.wrap_file_key(file_key)?;
        let before = agreed.get_or_insert_with(|| labels.clone());
        if *before != labels {
            return Err(EncryptError::IncompatibleRecipients {
                l_labels: before.clone(),
                r_labels: labels,
            });
        }
        stanzas
            .iter()
            .for_each(|stanza| write_stanza(&mut text, stanza));
    }
    text.push_str("---");
    let mac = mac(file_key, text.as_bytes());
    text.push(' ');
    text.push_str(&BASE64_STANDARD_NO_PAD.encode(mac));
    text.push('\n');
    Ok(text.into_bytes())
}

/// A body's last line is shorter than the others, if need be empty.
fn write_stanza(text: &mut String, stanza: &Stanza) {
    text.push_str("-> ");
    text.push_str(&stanza.tag);
    for argument in &stanza.args {
        text.push(' ');
        text.push_str(argument);
    }
    text.push('\n');
    let body = BASE64_STANDARD_NO_PAD.encode(&stanza.body);
    let mut rest = body.as_str();
    while rest.len() >= COLUMNS {
        let (line, after) = rest.split_at(COLUMNS);
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(rest);
    text.push('\n');
}

fn mac(file_key: &FileKey, header: &[u8]) -> [u8; 32] {
    let bytes: &[u8; FILE_KEY_BYTES] = file_key.expose_secret();
    let key = Zeroizing::new(hkdf(&[], b"header", bytes));
    let mut mac = Hmac::<Sha256>::new_from_slice(&*key).expect("HMAC takes keys of every length");
    mac.update(header);
    mac.finalize().into_bytes().into()
}

/// Whether the bytes are the header of an age file, all of it and nothing else.
pub(super) fn is_header(header: &[u8]) -> bool {
    let with_nonce = [header, &[0; 16]].concat();
    let mut cursor = Cursor::new(&with_nonce[..]);
    Decryptor::new(&mut cursor).is_ok() && cursor.position() == with_nonce.len() as u64
}

/// Whether a header holds this file key, as whoever has it would see.
pub(super) fn is_sound(header: &[u8], file_key: &FileKey) -> bool {
    struct Known<'a>(&'a FileKey);
    impl Identity for Known<'_> {
        fn unwrap_stanza(&self, _: &Stanza) -> Option<Result<FileKey, DecryptError>> {
            Some(Ok(copy(self.0)))
        }
    }
    let with_nonce = [header, &[0; 16]].concat();
    let known = Known(file_key);
    Decryptor::new(&with_nonce[..])
        .and_then(|read| read.decrypt(std::iter::once(&known as &dyn Identity)))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::keys;
    use crate::{Identities, generate_identity};

    fn person() -> (Identities, String) {
        let (text, recipient) = generate_identity(jiff::Timestamp::UNIX_EPOCH);
        (Identities::parse(text.as_bytes(), None).unwrap(), recipient)
    }

    fn seal(recipient: &str, content: &[u8]) -> Vec<u8> {
        let recipients = keys::resolve(&[recipient.to_owned()]).unwrap();
        let mut writer = crate::seal::begin(Vec::new(), as_dyn(&recipients)).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn another_recipient_opens_the_same_bytes() {
        let ((ana, to_ana), (bea, to_bea), (eve, _)) = (person(), person(), person());
        let sealed = seal(&to_ana, b"the rows");
        assert!(matches!(
            open_header(&sealed, bea.iter()),
            Err(DecryptError::NoMatchingKeys)
        ));
        let opened = open_header(&sealed[..sealed.len().min(4096)], ana.iter()).unwrap();
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";
        let both = keys::resolve(&[to_bea, ssh.to_owned()]).unwrap();
        let header = header_for(&opened.file_key, &both).unwrap();
        assert!(is_sound(&header, &opened.file_key));
        assert!(is_header(&header));
        let longer = [&header[..], b"x"].concat();
        for other in [&header[1..], &header[..header.len() - 1], &longer, b""] {
            assert!(!is_header(other));
        }
        let body = usize::try_from(opened.header_bytes).unwrap();
        let spliced = [&header, &sealed[body..]].concat();
        let open = |identities: &Identities| -> Option<Vec<u8>> {
            let mut plain = Vec::new();
            let mut reader = Decryptor::new(&spliced[..])
                .unwrap()
                .decrypt(identities.iter())
                .ok()?;
            reader.read_to_end(&mut plain).unwrap();
            Some(plain)
        };
        assert_eq!(open(&bea).unwrap(), b"the rows");
        assert!(open(&ana).is_none() && open(&eve).is_none());

        let mut forged = header.clone();
        let at = forged.len() - 10;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        assert!(!is_sound(&forged, &opened.file_key));
    }

    #[test]
    fn bodies_of_every_length_are_written_as_age_reads_them() {
        let file_key = FileKey::new(Box::new([7; 16]));
        struct Long(usize);
        impl age::Recipient for Long {
            fn wrap_file_key(
                &self,
                _: &FileKey,
            ) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
                let stanza = Stanza {
                    tag: "long".to_owned(),
                    args: vec!["1".to_owned(), "x".to_owned()],
                    body: vec![5; self.0],
                };
                Ok((vec![stanza], HashSet::new()))
            }
        }
        for length in [0, 1, 47, 48, 49, 95, 96, 97, 400] {
            let recipients: Recipients = vec![std::sync::Arc::new(Long(length))];
            let header = header_for(&file_key, &recipients).unwrap();
            assert!(is_sound(&header, &file_key), "{length}");
        }
    }
}
