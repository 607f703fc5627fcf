//! Compresses objects that wait, to a tenth of the memory.
//!
//! The objects of a cluster are much adictionary: the same keys, texts, projects and endpoints. So the JSON of one is compressed with
//! the JSON of earlier ones as the dictionary. The compressed form stays in this process's memory; it is never stored.

use std::sync::{Arc, Weak};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lz4_flex::block;

use super::Cancellation;

/// A compressed form longer than this many bytes means that the dictionary does not fit the object.
const POOR_FIT: usize = 512;

/// A dictionary is replaced only after so many objects: each stays in memory as long as an object that was packed with it.
const LEAST_USE: usize = 128;

/// The size of a dictionary: the JSON of about three objects.
const DICTIONARY_BYTES: usize = 8192;

/// The most dictionaries in memory. Objects that wait for days may each keep another one.
pub(super) const MOST_DICTIONARIES: usize = 16;

/// A compressed [`Cancellation`]; [`Packer::unpack`] restores it.
#[derive(Clone, Debug)]
pub struct Packed {
    bytes: Box<[u8]>,
    json_length: u32,
    pub(super) dictionary: Arc<Box<[u8]>>,
}

/// Compresses and restores.
#[derive(Debug)]
pub struct Packer {
    /// The dictionary for the next object: the JSON of earlier ones, the last one last.
    dictionary: Arc<Box<[u8]>>,
    /// How many objects were packed with it.
    used: usize,
    /// All dictionaries that a packed object still needs.
    dictionaries: Vec<Weak<Box<[u8]>>>,
    /// Buffers. What is kept for long is copied out of them: a shrunk buffer would leave a hole of several kilobytes beside each
    /// object.
    json: Vec<u8>,
    bytes: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            dictionary: Arc::default(),
            used: LEAST_USE,
            dictionaries: Vec::new(),
            json: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

impl Packer {
    /// Compresses it; `None` if it has what only lasts a moment, such as a write in flight.
    pub fn pack(&mut self, state: &Cancellation) -> Option<Packed> {
        let passing = state.watched_meanwhile.is_some()
            || state.write.in_flight.is_some()
            || state.write.unconfirmed_notice.is_some();
        if passing || !has_whole_seconds(state) {
            return None;
        }
        self.json.clear();
        // If it cannot be written as JSON, it stays uncompressed.
        serde_json::to_writer(&mut self.json, state).ok()?;
        let mut length = self.compress()?;
        if length > POOR_FIT && self.used >= LEAST_USE {
            self.new_dictionary();
            length = self.compress()?;
        }
        self.used = self.used.saturating_add(1);
        Some(Packed {
            bytes: self.bytes.get(..length)?.into(),
            json_length: u32::try_from(self.json.len()).ok()?,
            dictionary: self.dictionary.clone(),
        })
    }

    /// Restores what any packer compressed. `None` would be a bug in this module.
    pub fn unpack(&mut self, packed: &Packed) -> Option<Cancellation> {
        self.json
            .resize(usize::try_from(packed.json_length).ok()?, 0);
        let length =
            block::decompress_into_with_dict(&packed.bytes, &mut self.json, &packed.dictionary)
                .ok()?;
        serde_json::from_slice(self.json.get(..length)?).ok()
    }

    /// Compresses the JSON into the buffer. Returns the length.
    fn compress(&mut self) -> Option<usize> {
        let most = block::get_maximum_output_size(self.json.len());
        self.bytes.resize(most, 0);
        block::compress_into_with_dict(&self.json, &mut self.bytes, &self.dictionary).ok()
    }

    fn new_dictionary(&mut self) {
        self.used = 0;
        self.dictionaries
            .retain(|dictionary| dictionary.strong_count() > 0);
        if self.dictionaries.len() >= MOST_DICTIONARIES {
            return;
        }
        let earlier = self.dictionary.iter().chain(&self.json).copied();
        let too_many = (self.dictionary.len() + self.json.len()).saturating_sub(DICTIONARY_BYTES);
        self.dictionary = Arc::new(earlier.skip(too_many).collect());
        self.dictionaries.push(Arc::downgrade(&self.dictionary));
    }
}

impl Packed {
    /// Its length in bytes, without the shared dictionary.
    pub const fn own_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether all stored times are whole seconds, as this program writes them: JSON has no more of them.
fn has_whole_seconds(state: &Cancellation) -> bool {
    let status = &state.object.status;
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
