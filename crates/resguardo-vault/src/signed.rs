//! Small plain objects that are signed as heads are: one line, the body exactly as it was signed, and
//! the signature. `docs/format.md`, "Prune records" and "Pins".

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use resguardo_model::WriterId;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::keys::{self, WriteKey};

/// What kind of object it is: the name of its body, and what its signature begins with, so that no
/// other signed text can pass for one.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) domain: &'static [u8],
}

/// What is wrong with the bytes of a signed object.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SignedError {
    #[error("it cannot be read: {0}")]
    Malformed(String),
    #[error("it has format {format}, this version of Resguardo reads format 1")]
    NewerFormat { format: u32, writer: WriterId },
    #[error("its signature does not match its writer")]
    Forged,
}

impl Kind {
    /// Signs a body, which has a `format` and a `writer`.
    pub(crate) fn sign(&self, body: &impl Serialize, key: &WriteKey) -> Vec<u8> {
        let json = serde_json::to_string(body).expect("strings and numbers always serialise");
        let signature = HEXLOWER.encode(&key.sign(&self.message(&json)));
        let name = self.name;
        format!("{{\"{name}\":{json},\"signature\":\"{signature}\"}}\n").into_bytes()
    }

    /// Reads a body and checks its signature; whether its writer is trusted is the caller's question.
    pub(crate) fn open<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, SignedError> {
        let malformed = |error: serde_json::Error| SignedError::Malformed(error.to_string());
        let parts: BTreeMap<&str, &RawValue> = serde_json::from_slice(bytes).map_err(malformed)?;
        let (Some(body), Some(signature), 2) =
            (parts.get(self.name), parts.get("signature"), parts.len())
        else {
            let what = format!("it is not a {} and a signature", self.name);
            return Err(SignedError::Malformed(what));
        };
        // The signature comes first: an unsigned word about a newer format is nobody's word.
        #[derive(Deserialize)]
        struct Signer {
            format: u32,
            writer: WriterId,
        }
        let Signer { format, writer } = serde_json::from_str(body.get()).map_err(malformed)?;
        let signature = serde_json::from_str::<&str>(signature.get())
            .ok()
            .and_then(|digits| HEXLOWER.decode(digits.as_bytes()).ok())
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or_else(|| {
                let what = "the signature is not 128 hexadecimal digits";
                SignedError::Malformed(what.to_owned())
            })?;
        if !keys::signed_by(writer, &self.message(body.get()), &signature) {
            return Err(SignedError::Forged);
        }
        if format > 1 {
            return Err(SignedError::NewerFormat { format, writer });
        }
        serde_json::from_str(body.get()).map_err(malformed)
    }

    fn message(&self, json: &str) -> Vec<u8> {
        [self.domain, json.as_bytes()].concat()
    }
}
