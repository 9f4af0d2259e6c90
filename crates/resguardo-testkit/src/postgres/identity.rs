//! Gives a copied cluster a system identifier of its own.
//!
//! The identifier is the first field of `pg_control`, whose last field is a CRC of all before it;
//! `pg_resetwal` then writes a log that bears the new one.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;

use super::account;

/// Changes the identifier of the stopped cluster at `data`.
pub(super) fn renew(data: &Path, bin: &Path) {
    let path = data.join("global/pg_control");
    let mut control = std::fs::read(&path).unwrap();
    let end = (8..=1024)
        .find(|&end| control[end..end + 4] == crc32c(&control[..end]).to_le_bytes())
        .expect("pg_control ends with its CRC");
    // Positive as a signed number too.
    let identifier = RandomState::new().build_hasher().finish() >> 1;
    control[..8].copy_from_slice(&identifier.to_le_bytes());
    let crc = crc32c(&control[..end]);
    control[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, control).unwrap();
    let mut reset = account::command(&bin.join("pg_resetwal"));
    account::run(reset.arg("-f").arg("-D").arg(data));
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_crc_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }
}
