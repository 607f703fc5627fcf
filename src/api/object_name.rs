//! The names that Kubernetes accepts.

/// Whether an object may have this name: labels with dots between them. The length is not checked.
pub fn is_object_name(name: &str) -> bool {
    name.split('.').all(is_label)
}

/// Whether it is a label: lower-case letters, digits, and hyphens that are neither first nor last. The length is not checked.
pub fn is_label(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.bytes().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
