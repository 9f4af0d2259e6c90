//! Whether a record beside the backups is to be believed, at either side.

use jiff::Timestamp;
use resguardo_model::{FindingKind, Sha256Digest, SourceName};
use resguardo_store::Key;

use crate::error::VaultError;
use crate::headers::BundleStanding;
use crate::layout;
use crate::receipt::verify_envelope;
use crate::vault::Vault;

/// What a record is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is what it has to be, and of a trusted writer. A pin says when it was made.
    Good(Option<Timestamp>),
    /// It is well signed, by a writer who is not trusted here.
    Stranger,
    /// It is damaged, forged, or belongs elsewhere; why.
    Bad(String),
}

impl Standing {
    /// Whether this one of the vault takes the place of another one at the copy. Only pins ever change; of
    /// all else the copy's stays, if it is good.
    pub(super) fn replaces(&self, theirs: &Self) -> bool {
        match (self, theirs) {
            (Self::Good(ours), Self::Good(theirs)) => ours > theirs,
            (Self::Good(_), _) => true,
            _ => false,
        }
    }
}

/// The finding of a record that is none.
pub(super) fn bad_kind(folder: &str) -> FindingKind {
    match folder {
        "headers" => FindingKind::HeadersMalformed,
        "pins" => FindingKind::PinForged,
        "prunes" => FindingKind::PruneRecordForged,
        _ => FindingKind::ReceiptForged,
    }
}

/// What the record at `key` of a source is worth to `vault`.
pub(super) fn standing(
    vault: &Vault,
    source: &SourceName,
    key: &Key,
    body: &[u8],
) -> Result<Standing, VaultError> {
    if let Some((_, backup)) = layout::pin_place(key) {
        let (pin, _) = vault.read_pin(key, source, backup, body);
        return Ok(match pin.made {
            Some((made_at, ..)) if pin.trusted => Standing::Good(Some(made_at)),
            Some(_) => Standing::Stranger,
            None => Standing::Bad(pin.reason),
        });
    }
    if let Some((_, record)) = layout::prune_place(key) {
        return Ok(match vault.read_record(source, key, record, body)? {
            Ok(_) => Standing::Good(None),
            Err(finding) if finding.kind == FindingKind::PruneRecordForged => {
                Standing::Bad("it is no prune record, or was forged".to_owned())
            }
            Err(_) => Standing::Stranger,
        });
    }
    if layout::receipt_place(key).is_some() {
        return Ok(receipt(vault, source, key, body));
    }
    if !layout::is_header_bundle(key) {
        return Ok(Standing::Bad("it belongs elsewhere".to_owned()));
    }
    Ok(match vault.bundle_standing(source, body) {
        BundleStanding::Good => Standing::Good(None),
        BundleStanding::Stranger(_) => Standing::Stranger,
        BundleStanding::Bad(why) => Standing::Bad(why.to_owned()),
    })
}

fn receipt(vault: &Vault, source: &SourceName, key: &Key, body: &[u8]) -> Standing {
    let (statement, writer) = match verify_envelope(body) {
        Ok(read) => read,
        Err(error) => return Standing::Bad(error.to_string()),
    };
    let predicate = statement.predicate;
    let is_its_place = predicate.vault == vault.id()
        && predicate.source == *source
        && *key == layout::receipt(source, predicate.run);
    if !is_its_place {
        return Standing::Bad("it belongs elsewhere".to_owned());
    }
    match vault.trusts(writer, &Sha256Digest::of(body)) {
        true => Standing::Good(None),
        false => Standing::Stranger,
    }
}
