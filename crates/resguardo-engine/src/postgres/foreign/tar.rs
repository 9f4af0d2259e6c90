//! Whether a tar archive is whole. `pg_restore` never ends on one that is cut short, so it is looked at here
//! first: every member fits into the file, and the blocks of zeros that end an archive are there.
//! <https://www.gnu.org/software/tar/manual/html_node/Standard.html>

use std::io::{self, Read, Seek, SeekFrom};

const BLOCK_BYTES: u64 = 512;
/// Where a header tells the size of its member: octal digits, or a number of 12 bytes whose first bit is set.
const SIZE_AT: std::ops::Range<usize> = 124..136;

/// What is wrong with it; none if it is whole.
pub(super) fn fault(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    loop {
        if at + BLOCK_BYTES > length {
            return Ok(Some(format!(
                "it is cut short: it ends after {length} bytes without the mark of its end"
            )));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; BLOCK_BYTES as usize];
        file.read_exact(&mut header)?;
        if header.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let Some(size) = size(&header[SIZE_AT]) else {
            return Ok(Some(format!("its header at {at} bytes is damaged")));
        };
        let blocks = size.div_ceil(BLOCK_BYTES);
        let next = blocks
            .checked_mul(BLOCK_BYTES)
            .and_then(|bytes| bytes.checked_add(at + BLOCK_BYTES));
        match next {
            Some(next) if next <= length => at = next,
            _ => {
                return Ok(Some(format!(
                    "it is cut short: a file in it begins at {at} bytes and does not end"
                )));
            }
        }
    }
}

fn size(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let tail: [u8; 8] = field[field.len() - 8..].try_into().ok()?;
        return Some(u64::from_be_bytes(tail));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut bytes = vec![0; 512 * 5];
        bytes[..7].copy_from_slice(b"toc.dat");
        bytes[SIZE_AT].copy_from_slice(b"00000001000 ");
        bytes[512..1024].fill(b'x');
        bytes
    }

    fn fault_of(bytes: &[u8]) -> Option<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        fault(&mut file).unwrap()
    }

    #[test]
    fn an_archive_has_an_end() {
        let bytes = archive();
        assert_eq!(fault_of(&bytes), None);
        for length in [0, 100, 512, 700, 1024] {
            assert!(fault_of(&bytes[..length]).is_some(), "{length}");
        }
        let mut damaged = bytes;
        damaged[130] = b'z';
        assert!(fault_of(&damaged).is_some_and(|fault| fault.contains("damaged")));
    }

    #[test]
    fn sizes_in_both_forms() {
        assert_eq!(size(b"00000001000 "), Some(512));
        assert_eq!(
            size(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]),
            Some(8 << 30)
        );
        assert_eq!(size(b"hola hola ho"), None);
    }
}
