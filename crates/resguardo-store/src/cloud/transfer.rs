//! Bodies on their way: downloads whole or not at all, large uploads in parts.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{Attributes, GetOptions, MultipartUpload, PutMultipartOptions, PutResult};

use super::Bucket;
use super::answer::Asked;
use crate::port::{StoreError, Version};

/// Size of a part; 5 GiB make 320 of the 10,000 that S3 allows.
const PART_BYTES: usize = 16 << 20;
const PARTS_AT_ONCE: usize = 4;
/// The slowest upload that still counts as one.
const BYTES_PER_SECOND_MIN: usize = 128 << 10;

/// How long a body of `bytes` bytes may take to go up.
pub(super) fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes / BYTES_PER_SECOND_MIN) as u64)
}

impl Bucket {
    /// Downloads an object or a range of it: which bytes, and all of them.
    pub(super) async fn fetch(
        &self,
        asked: &Asked<'_>,
        options: GetOptions,
    ) -> Result<(Range<u64>, Bytes), StoreError> {
        let path = self.path(asked.key);
        let answer = asked
            .within(self.silence_max, self.objects.get_opts(&path, options))
            .await?;
        let range = answer.range.clone();
        let expected = usize::try_from(range.end.saturating_sub(range.start))
            .map_err(|error| asked.other(error.into()))?;
        let mut body = BytesMut::with_capacity(expected);
        let mut stream = answer.into_stream();
        while let Some(piece) = asked.within(self.silence_max, stream.try_next()).await? {
            body.extend_from_slice(&piece);
        }
        if body.len() == expected {
            Ok((range, body.freeze()))
        } else {
            let what = format!("{} of {expected} bytes came", body.len());
            Err(asked.interrupted(what.into()))
        }
    }

    /// Uploads in parts, and takes the parts back if one fails.
    pub(super) async fn put_parts(
        &self,
        asked: &Asked<'_>,
        body: Bytes,
        attributes: Attributes,
    ) -> Result<Option<Version>, StoreError> {
        let path = self.path(asked.key);
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let begin = self.objects.put_multipart_opts(&path, options);
        let mut upload = asked.within(self.silence_max, begin).await?;
        match self.send_parts(asked, &mut *upload, &body).await {
            Ok(result) => Ok(self.version(result.e_tag, result.version)),
            Err(error) => {
                // Parts that stay behind are invisible; a lifecycle rule of the bucket removes them.
                let _ = asked.within(self.silence_max, upload.abort()).await;
                Err(error)
            }
        }
    }

    async fn send_parts(
        &self,
        asked: &Asked<'_>,
        upload: &mut dyn MultipartUpload,
        body: &Bytes,
    ) -> Result<PutResult, StoreError> {
        let deadline = self.silence_max + time_for(PART_BYTES * PARTS_AT_ONCE);
        let offsets = (0..body.len()).step_by(PART_BYTES);
        futures::stream::iter(offsets)
            .map(|begin| {
                let end = body.len().min(begin + PART_BYTES);
                asked.within(deadline, upload.put_part(body.slice(begin..end).into()))
            })
            .buffer_unordered(PARTS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        // The service puts the parts together, which takes time.
        asked
            .within(self.silence_max + time_for(body.len()), upload.complete())
            .await
    }
}
