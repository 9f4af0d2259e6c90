//! Rows as `COPY` text, out of a table and into one.

use std::io::Read;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};

use super::{Session, Stopped, TICK, until};
use crate::port::EngineError;
use crate::postgres::failure;

/// Bytes that are sent at once.
const BLOCK_BYTES: usize = 128 << 10;
/// Rows between two looks at whether somebody cancelled.
const ROWS_UNCHECKED_MAX: u32 = 8192;

impl Session {
    /// Runs a `COPY … TO STDOUT` and hands out each row, its newline included. Returns their number.
    /// PostgreSQL sends one message a row ("Message Flow", COPY Operations).
    ///
    /// # Errors
    /// Named by [`failure`]; whatever `take` answers ends the copy.
    pub(in crate::postgres) fn copy_out(
        &self,
        sql: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<u64, EngineError> {
        let stream = self.wait(sql, self.limits.silence, self.client().copy_out(sql))?;
        let place = self.settings.describe();
        let mut stream = std::pin::pin!(stream);
        let mut rows = 0;
        let copied = self.runtime.block_on(async {
            let mut unchecked = 0;
            loop {
                let next = match stream.next().now_or_never() {
                    Some(next) => next,
                    None => self
                        .next(stream.next())
                        .await
                        .map_err(|stopped| stopped.named(&place, &failure::shortened(sql)))?,
                };
                let Some(row) = next else {
                    return Ok(());
                };
                take(&row.map_err(|error| failure::of("reading", &place, sql, error))?)?;
                rows += 1;
                unchecked += 1;
                if unchecked >= ROWS_UNCHECKED_MAX {
                    unchecked = 0;
                    self.cancel.check()?;
                }
            }
        });
        if copied.is_err() {
            self.cancel_statement();
        }
        copied.map(|()| rows)
    }

    /// Waits for the next message, as long as silence may last.
    async fn next<T>(&self, next: impl Future<Output = T>) -> Result<T, Stopped> {
        let begun = Instant::now();
        let mut next = std::pin::pin!(next);
        loop {
            if let Ok(next) = tokio::time::timeout(TICK, &mut next).await {
                return Ok(next);
            }
            self.cancel.check().map_err(Stopped::Cancelled)?;
            if let Some(limit) = self
                .limits
                .silence
                .filter(|limit| begun.elapsed() >= *limit)
            {
                return Err(Stopped::TooLong(limit));
            }
        }
    }

    /// Runs a `COPY … FROM STDIN` with everything that `source` holds. Returns the number of rows that the
    /// server took. If `source` fails, the server is told that the copy has failed.
    ///
    /// # Errors
    /// Named by [`failure`]; an error of `source` is returned as [`EngineError::Other`], with it as cause.
    pub(in crate::postgres) fn copy_in(
        &self,
        sql: &str,
        source: &mut dyn Read,
    ) -> Result<u64, EngineError> {
        let place = self.settings.describe();
        let named = |stopped: Stopped| stopped.named(&place, &failure::shortened(sql));
        let failed = |error| failure::of("writing to", &place, sql, error);
        let sink = self.wait(
            sql,
            self.limits.silence,
            self.client().copy_in::<_, Bytes>(sql),
        )?;
        let mut sink = Box::pin(sink);
        let mut block = BytesMut::new();
        loop {
            block.resize(BLOCK_BYTES, 0);
            let mut filled = 0;
            while filled < BLOCK_BYTES {
                let read = source.read(&mut block[filled..]);
                let read = read.map_err(|source| EngineError::Other {
                    operation: "reading what is copied into",
                    place: place.clone(),
                    source: Box::new(source),
                })?;
                if read == 0 {
                    break;
                }
                filled += read;
            }
            if filled == 0 {
                break;
            }
            let bytes = block.split_to(filled).freeze();
            let sent = until(
                &self.runtime,
                &self.cancel,
                self.limits.silence,
                sink.send(bytes),
            );
            sent.map_err(named)?.map_err(failed)?;
        }
        let finished = until(
            &self.runtime,
            &self.cancel,
            self.limits.silence,
            sink.as_mut().finish(),
        );
        finished.map_err(named)?.map_err(failed)
    }
}
