//! Addresses of the page, with what is chosen in their query.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    operations::store::{Order, Selection},
    protocol::form::Form,
};

/// Percent-encoded, for a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// This path with a selection, and more, in its query.
pub(super) fn address(path: &str, selection: &Selection, more: &str) -> String {
    let pairs = parameters(selection)
        .into_iter()
        .map(|(key, value)| format!("{key}={}", encoded(&value)));
    let query: Vec<String> = pairs
        .chain((!more.is_empty()).then(|| more.to_owned()))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

pub(super) fn parameters(selection: &Selection) -> Vec<(&'static str, String)> {
    let mut pairs = Vec::new();
    if !selection.search.is_empty() {
        pairs.push(("search", selection.search.clone()));
    }
    if !selection.phase.is_empty() {
        pairs.push(("phase", selection.phase.clone()));
    }
    if selection.order == Order::Asked {
        pairs.push(("order", "asked".to_owned()));
    }
    if selection.page > 1 {
        pairs.push(("page", selection.page.to_string()));
    }
    pairs
}

/// The selection that a form carries, to go on with it.
pub(super) fn selection(form: &Form) -> Selection {
    Selection {
        search: form.get("search").to_owned(),
        phase: form.get("phase").to_owned(),
        order: if form.get("order") == "asked" {
            Order::Asked
        } else {
            Order::Name
        },
        page: form.get("page").parse().unwrap_or_default(),
    }
}
