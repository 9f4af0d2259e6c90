//! A sealed object with another header in the place of its own.

use std::io::{self, Read, Seek, SeekFrom};

/// `header`, then `inner` from `skip` on.
pub(crate) struct Spliced<R> {
    header: Vec<u8>,
    skip: u64,
    inner: R,
    position: u64,
    /// Where `inner` stands, if that is known.
    inner_at: Option<u64>,
}

impl<R: Read + Seek> Spliced<R> {
    /// The object as it is.
    pub(crate) fn whole(inner: R) -> Self {
        Self::new(Vec::new(), 0, inner)
    }

    /// The object with another header in the place of its own `skip` bytes.
    pub(crate) fn new(header: Vec<u8>, skip: u64, inner: R) -> Self {
        Self {
            header,
            skip,
            inner,
            position: 0,
            inner_at: None,
        }
    }

    fn header_bytes(&self) -> u64 {
        self.header.len() as u64
    }
}

impl<R: Read + Seek> Read for Spliced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position < self.header_bytes() {
            let from = usize::try_from(self.position).map_err(io::Error::other)?;
            let count = (&self.header[from..]).read(buffer)?;
            self.position += count as u64;
            return Ok(count);
        }
        let wanted = self.position - self.header_bytes() + self.skip;
        if self.inner_at != Some(wanted) {
            self.inner.seek(SeekFrom::Start(wanted))?;
        }
        let count = self.inner.read(buffer)?;
        self.inner_at = Some(wanted + count as u64);
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Read + Seek> Seek for Spliced<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => {
                let end = self.inner.seek(SeekFrom::End(0))?;
                self.inner_at = Some(end);
                end.checked_sub(self.skip)
                    .and_then(|rest| rest.checked_add(self.header_bytes()))
                    .and_then(|end| end.checked_add_signed(by))
            }
        };
        self.position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn reads_and_seeks_across_the_seam() {
        let inner = Cursor::new(b"OLDHEADbody of it".to_vec());
        let mut spliced = Spliced::new(b"new".to_vec(), 7, inner);
        let mut all = String::new();
        spliced.read_to_string(&mut all).unwrap();
        assert_eq!(all, "newbody of it");
        for at in 0..all.len() {
            assert_eq!(spliced.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
            let mut rest = String::new();
            spliced.read_to_string(&mut rest).unwrap();
            assert_eq!(rest, all[at..]);
        }
        assert_eq!(spliced.seek(SeekFrom::End(-2)).unwrap(), 11);
        assert_eq!(spliced.seek(SeekFrom::Current(-9)).unwrap(), 2);
        let mut rest = String::new();
        spliced.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "wbody of it");
        assert!(spliced.seek(SeekFrom::End(-99)).is_err());
    }
}
