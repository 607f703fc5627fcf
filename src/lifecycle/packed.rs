//! One cancellation in a compact form, for the many that wait for a poll or for their turn: a tenth of the memory.
//!
//! Objects of one cluster look much alike: the same keys, texts, projects and endpoints. So one is kept as what its JSON has
//! that the JSON of earlier ones had not. Only for this process's own memory: it is never stored, and has no versions.

use std::sync::{Arc, Weak};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lz4_flex::block;

use super::Cancellation;

/// A compact form longer than this says that the object is not much like the earlier ones that it was compared with.
const UNLIKE: usize = 512;

/// After so many objects it may be compared with others: each set of them is kept for as long as an object was packed with it.
const LEAST_USE: usize = 128;

/// The bytes of earlier objects that others are compared with: about three of them.
const LIKE_BYTES: usize = 8192;

/// So many sets of earlier objects are kept at most. One is kept for as long as one object was packed with it, so that many that
/// wait for people, each packed with another, would keep as many.
pub(super) const MOST_SETS: usize = 16;

/// All that is known of an object; [`Packer::unpack`] gives it back as it was.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    json_length: u32,
    pub(super) like: Arc<Box<[u8]>>,
}

/// Makes compact forms.
#[derive(Debug)]
pub struct Packer {
    /// The JSON of earlier objects, the last one last.
    like: Arc<Box<[u8]>>,
    /// How many were packed with it.
    used: usize,
    /// That, and the earlier ones, as far as an object was packed with them.
    sets: Vec<Weak<Box<[u8]>>>,
    /// The JSON and the compact form that were made last: room for the next. What is kept for long is never cut from what was
    /// allocated for a moment, which would leave a hole of several kilobytes beside each object.
    json: Vec<u8>,
    bytes: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            like: Arc::default(),
            used: LEAST_USE,
            sets: Vec::new(),
            json: Vec::new(),
            bytes: Vec::new(),
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
        self.json.clear();
        // All of it can be written as JSON; if ever not, it just stays as it is.
        serde_json::to_writer(&mut self.json, known).ok()?;
        let mut length = self.compress()?;
        if length > UNLIKE && self.used >= LEAST_USE {
            self.learn();
            length = self.compress()?;
        }
        self.used = self.used.saturating_add(1);
        Some(Packed {
            bytes: self.bytes.get(..length)?.into(),
            json_length: u32::try_from(self.json.len()).ok()?,
            like: self.like.clone(),
        })
    }

    /// What was packed, by whichever packer. `None` would be a fault of this module.
    pub fn unpack(&mut self, packed: &Packed) -> Option<Cancellation> {
        self.json
            .resize(usize::try_from(packed.json_length).ok()?, 0);
        let length =
            block::decompress_into_with_dict(&packed.bytes, &mut self.json, &packed.like).ok()?;
        serde_json::from_slice(self.json.get(..length)?).ok()
    }

    /// Makes the compact form of the JSON; its length.
    fn compress(&mut self) -> Option<usize> {
        let most = block::get_maximum_output_size(self.json.len());
        self.bytes.resize(most, 0);
        block::compress_into_with_dict(&self.json, &mut self.bytes, &self.like).ok()
    }

    fn learn(&mut self) {
        self.used = 0;
        self.sets.retain(|set| set.strong_count() > 0);
        if self.sets.len() >= MOST_SETS {
            return;
        }
        let earlier = self.like.iter().chain(&self.json).copied();
        let too_many = (self.like.len() + self.json.len()).saturating_sub(LIKE_BYTES);
        self.like = Arc::new(earlier.skip(too_many).collect());
        self.sets.push(Arc::downgrade(&self.like));
    }
}

impl Packed {
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
