//! Objects on their way to a copy: which are missing there, and from where each is taken.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::place::at_copy;
use super::send::{Named, Sent, Wrong, each, named_by, read_named, send};
use super::sync::{Elsewhere, Run};
use crate::error::VaultError;
use crate::heads::StoredHead;

/// What became of an object that the copy is to have.
enum Brought {
    WasThere,
    Sent,
    Mended,
    /// It is not whole here, and was taken from another copy.
    Elsewhere {
        place: String,
        was_there: bool,
    },
    Refused(Wrong),
    Kept(String),
}

impl Run<'_> {
    pub(super) fn missing_bytes(&self, heads: &[&StoredHead]) -> u64 {
        let named = heads.iter().flat_map(|stored| {
            let (packs, rest) = named_by(stored);
            packs.into_iter().chain(rest)
        });
        let missing: BTreeSet<Named> = named.filter(|object| !self.is_there(object)).collect();
        missing.iter().map(|object| object.bytes).sum()
    }

    pub(super) fn is_there(&self, object: &Named) -> bool {
        let found = self.there.get(&object.key);
        found.is_some_and(|info| info.bytes == object.bytes)
    }

    /// Sees to it that the copy has these objects, each once.
    pub(super) fn bring(&mut self, objects: impl Iterator<Item = Named>) -> Result<(), VaultError> {
        let looked_at = &self.looked_at;
        let objects: BTreeSet<Named> = objects
            .filter(|object| !looked_at.contains(&object.key))
            .filter(|object| !self.refused.contains_key(&object.key))
            .collect();
        let objects: Vec<Named> = objects.into_iter().collect();
        let result = each(
            &objects,
            self.cancel,
            |object| self.bring_one(object),
            |_| {
                let sent = self.sent_bytes.load(Ordering::Relaxed);
                self.progress.bytes(sent, Some(self.total_bytes.max(sent)));
            },
        );
        for (object, brought) in objects.into_iter().zip(result?) {
            self.keep(object, brought);
        }
        Ok(())
    }

    fn bring_one(&self, object: &Named) -> Result<Brought, VaultError> {
        let is_there = self.is_there(object);
        // What no head names there was left by a run that was stopped: it is read before a head names it.
        if is_there && !self.request.mend && self.named_there.contains(&object.key) {
            return Ok(Brought::WasThere);
        }
        let was_there = self.there.contains_key(&object.key);
        if is_there {
            let found = read_named(self.to, object).map_err(|error| at_copy(error, self.place))?;
            if found.is_ok() {
                return Ok(Brought::WasThere);
            }
        }
        Ok(match send(self.from, self.to, object)? {
            Sent::Put => {
                self.sent_bytes.fetch_add(object.bytes, Ordering::Relaxed);
                match was_there {
                    true => Brought::Mended,
                    false => Brought::Sent,
                }
            }
            Sent::Refused(wrong) => match self.send_from_others(object)? {
                Some(place) => {
                    self.sent_bytes.fetch_add(object.bytes, Ordering::Relaxed);
                    Brought::Elsewhere { place, was_there }
                }
                None => Brought::Refused(wrong),
            },
            Sent::Kept(words) => Brought::Kept(words),
        })
    }

    /// The first of the other copies that has it whole sends it; answers which.
    fn send_from_others(&self, object: &Named) -> Result<Option<String>, VaultError> {
        for other in self.others {
            let place = other.store().describe();
            match send(other, self.to, object) {
                Ok(Sent::Put) => return Ok(Some(place)),
                Ok(Sent::Refused(_) | Sent::Kept(_)) => {}
                Err(error) => return Err(at_copy(error, &place)),
            }
        }
        Ok(None)
    }

    fn keep(&mut self, object: Named, brought: Brought) {
        match brought {
            Brought::WasThere => {}
            Brought::Sent | Brought::Mended | Brought::Elsewhere { .. } => {
                if let Brought::Elsewhere { place, .. } = &brought {
                    self.done.elsewhere.push(Elsewhere {
                        object: object.key.to_string(),
                        bytes: object.bytes,
                        place: place.clone(),
                    });
                }
                let was_there = matches!(
                    brought,
                    Brought::Mended
                        | Brought::Elsewhere {
                            was_there: true,
                            ..
                        }
                );
                if was_there {
                    self.done.mended.push(object.key.to_string());
                }
                self.done.objects += 1;
                self.done.bytes += object.bytes;
                self.sent_keys.insert(object.key.clone(), object.bytes);
            }
            Brought::Refused(wrong) => {
                self.refused.insert(object.key, wrong);
                return;
            }
            Brought::Kept(words) => {
                self.done.kept.push((object.key.to_string(), words));
                return;
            }
        }
        self.looked_at.insert(object.key);
    }
}
