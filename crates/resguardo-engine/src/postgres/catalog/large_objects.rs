//! Large objects, counted and digested like the rows of a table.

use crate::port::EngineError;
use crate::postgres::digest::Tally;
use crate::postgres::inventory::LargeObjects;
use crate::postgres::session::Session;

/// Each object in blocks of 256 KiB: its number, the block's, the block; an empty one has an empty block.
const BLOCKS: &str = "copy (select o.oid, b.n, lo_get(o.oid, b.n * 262144, 262144) \
    from (select oid, lo_lseek64(fd, 0, 2) as bytes, lo_close(fd) as closed \
          from (select oid, lo_open(oid, 262144) as fd from pg_largeobject_metadata offset 0) f offset 0) o, \
      generate_series(0::int8, greatest(o.bytes - 1, 0) / 262144) b(n)) to stdout (encoding 'UTF8')";

/// How many there are.
///
/// # Errors
/// If they cannot be counted.
pub(in crate::postgres) fn large_object_count(session: &Session) -> Result<u64, EngineError> {
    let rows = session.rows("select count(*) from pg_largeobject_metadata")?;
    Ok(rows.first().map_or(0, |row| row.number(0)))
}

/// Counts and digests them; `None` if there are none. A session without a snapshot of its own sees each as
/// it is when its turn comes.
///
/// # Errors
/// If one cannot be read.
pub(in crate::postgres) fn large_objects(
    session: &Session,
) -> Result<Option<LargeObjects>, EngineError> {
    let count = large_object_count(session)?;
    if count == 0 {
        return Ok(None);
    }
    let mut tally = Tally::default();
    let mut bytes = 0;
    session.copy_out(BLOCKS, &mut |row| {
        tally.add(row);
        bytes += block_bytes(row);
        Ok(())
    })?;
    Ok(Some(LargeObjects {
        count,
        bytes,
        digest: tally.digest.to_string(),
    }))
}

/// Bytes of the block in a row: `16400<tab>0<tab>\\x00ff<newline>`.
fn block_bytes(row: &[u8]) -> u64 {
    let tab = row.iter().rposition(|byte| *byte == b'\t');
    let digits = tab.map_or(0, |tab| row.len() - tab - 1);
    (digits.saturating_sub(b"\\\\x\n".len()) / 2) as u64
}

#[cfg(test)]
mod tests {
    use super::block_bytes;

    #[test]
    fn blocks_are_measured() {
        assert_eq!(block_bytes(b"16400\t0\t\\\\x\n"), 0);
        assert_eq!(block_bytes(b"16400\t1\t\\\\x00ff\n"), 2);
    }
}
