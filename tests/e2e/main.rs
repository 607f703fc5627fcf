//! The whole program against a real API server: kubectl, the controller as a process with its own ServiceAccount's rights,
//! and an emulator in Google's place. Numbers of calls come from the emulator's record, numbers of writes from the audit log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

// tests/reliability uses more of it.
#[allow(dead_code)]
#[path = "../support/mod.rs"]
mod support;

#[path = "../support/hostile_hop.rs"]
mod hostile_hop;
#[path = "../support/misbehaviour.rs"]
mod misbehaviour;
#[path = "../support/raw_http.rs"]
mod raw_http;

mod admin_port;
mod answers_after_half_a_minute;
mod answers_of_strangers;
mod answers_to_cancel;
mod answers_to_get;
mod bad_input;
mod bad_manners;
mod cancel_taken_back;
mod deletion;
mod federation;
mod flags;
mod gitops;
mod grants;
mod helm;
mod hostile_answers;
mod integrations;
mod judges;

mod identity;
mod immutability;
mod instants;
mod large_answers;
mod large_objects;
mod leadership;
mod leadership_faults;
mod leadership_outage;
mod limits;
mod list_ownership;
mod logs;
mod metrics;
mod monitoring;
mod odd_answers;
mod older_shapes;
mod outcomes;
mod policies;
mod proxy;
mod quotas;
mod requests;
mod resources;
mod restart;
mod restored_backup;
mod restored_etcd;
mod services;
mod startup;
mod suspension;
mod tenant_identity;
mod wait_for_outcome;
mod waiting_tools;
mod what_people_see;
