//! One cancellation in a compact form, for the many that wait for a poll or for their turn: a tenth of the memory.
//!
//! Objects of one cluster look much alike: the same keys, texts, projects and endpoints. So one is kept as what its JSON has
//! that the JSON of earlier ones had not. Only for this process's own memory: it is never stored, and has no versions.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lz4_flex::block;

use super::Cancellation;

/// A compact form longer than this says that the object is not much like the earlier ones that it was compared with.
const UNLIKE: usize = 512;

/// After so many objects it may be compared with others: each set of them is kept for as long as an object was packed with it.
const LEAST_USE: usize = 128;

/// The bytes of earlier objects that others are compared with: about three of them.
const LIKE_BYTES: usize = 8192;

/// All that is known of an object; [`Packed::unpack`] gives it back as it was.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    like: Arc<[u8]>,
}

/// Makes compact forms.
#[derive(Debug)]
pub struct Packer {
    /// The JSON of earlier objects, the last one last.
    like: Arc<[u8]>,
    /// How many were packed with it.
    used: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            like: Arc::default(),
            used: LEAST_USE,
        }
    }
}

impl Packer {
    /// The compact form; `None` for what lasts a moment only, such as a write that is under way.
    pub fn pack(&mut self, known: &Cancellation) -> Option<Packed> {
        let passing = known.seen_meanwhile.is_some()
            || known.write.in_flight.is_some()
            || known.write.lost_notice.is_some();
        if passing || !has_whole_seconds(known) {
            return None;
        }
        // All of it can be written as JSON; if ever not, it just stays as it is.
        let json = serde_json::to_vec(known).ok()?;
        let mut bytes = self.compress(&json);
        if bytes.len() > UNLIKE && self.used >= LEAST_USE {
            self.learn(&json);
            bytes = self.compress(&json);
        }
        self.used = self.used.saturating_add(1);
        Some(Packed {
            bytes: bytes.into_boxed_slice(),
            like: self.like.clone(),
        })
    }

    fn compress(&self, json: &[u8]) -> Vec<u8> {
        block::compress_prepend_size_with_dict(json, &self.like)
    }

    fn learn(&mut self, json: &[u8]) {
        let earlier = self.like.iter().chain(json);
        let too_many = (self.like.len() + json.len()).saturating_sub(LIKE_BYTES);
        self.like = earlier.skip(too_many).copied().collect();
        self.used = 0;
    }
}

impl Packed {
    /// What was packed. `None` would be a fault of this module.
    pub fn unpack(&self) -> Option<Cancellation> {
        let json = block::decompress_size_prepended_with_dict(&self.bytes, &self.like).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Its length in bytes, without what it shares with others.
    pub const fn own_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether all stored times are whole seconds, as this program writes them: JSON has no more of them.
fn has_whole_seconds(known: &Cancellation) -> bool {
    let status = &known.object.status;
    let error = status.last_error.as_ref();
    let transitions = status.conditions.iter();
    [
        status.start_time.as_ref(),
        status.cancel_request_time.as_ref(),
        status.completion_time.as_ref(),
        error.and_then(|error| error.since.as_ref()),
    ]
    .into_iter()
    .flatten()
    .chain(transitions.map(|condition| &condition.last_transition_time))
    .all(|Time(time)| time.subsec_nanosecond() == 0)
}
