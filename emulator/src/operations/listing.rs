//! `ListOperations`: its parameters and its page tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{hmac, rand::SystemRandom};
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{query::Query, rpc_code::RpcCode},
    scenario::lists::Lists,
};

/// Why a list is refused: the code and the message.
pub type ListRefusal = (RpcCode, String);

/// The parameters of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Only those with this `done`.
    pub done: Option<bool>,
    /// At most this many.
    pub page_size: usize,
    /// Only those whose name comes after this one.
    pub after: Option<String>,
    /// Whether some locations may be unreachable.
    pub partial: bool,
    scope: String,
}

/// The contents of a page token. Each emulator signs them with its own key.
#[derive(Serialize, Deserialize)]
struct Token {
    scope: String,
    after: String,
}

/// Reads the parameters of lists, and makes and checks page tokens.
#[derive(Clone, Debug)]
pub struct Listing {
    lists: Lists,
    key: Option<hmac::Key>,
}

impl Listing {
    /// Lists with this behaviour.
    pub fn new(lists: Lists) -> Self {
        // Without randomness there is no key, and every page token is refused.
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { lists, key }
    }

    /// Reads the parameters of a list.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for invalid parameters and for a token of another list, UNIMPLEMENTED for `returnPartialSuccess`.
    pub fn read(&self, parent: &str, query: &Query) -> Result<ListRequest, ListRefusal> {
        let invalid = |message: String| (RpcCode::InvalidArgument, message);
        let of_type = |field: &str, kind: &str, value: &str| {
            invalid(format!("Invalid value at '{field}' ({kind}), \"{value}\""))
        };
        let filter = query.get("filter");
        let done = done(filter).ok_or_else(|| {
            invalid(format!(
                "Invalid filter \"{filter}\": only done=true and done=false are supported."
            ))
        })?;
        let page_size = match query.get("pageSize") {
            "" | "0" => self.lists.page_size,
            text => {
                let size: i32 = text
                    .parse()
                    .map_err(|_| of_type("page_size", "TYPE_INT32", text))?;
                usize::try_from(size)
                    .map_err(|_| invalid("The page size must not be negative.".into()))?
            }
        };
        let partial = match query.get("returnPartialSuccess") {
            "" | "false" => false,
            "true" => true,
            text => return Err(of_type("return_partial_success", "TYPE_BOOL", text)),
        };
        if partial && !self.lists.partial_success {
            let message = "return_partial_success is not supported by this service.";
            return Err((RpcCode::Unimplemented, message.into()));
        }
        if partial && !over_all_locations(parent) {
            let message = "return_partial_success can only be set when reading across locations, such as projects/P/locations/-.";
            return Err(invalid(message.into()));
        }
        let scope = format!("{parent} {done:?} {partial}");
        let after = match query.get("pageToken") {
            "" => None,
            text => match self.open(text) {
                Some(token) if token.scope == scope => Some(token.after),
                Some(_) => {
                    let message = "The page token belongs to a request with other parameters.";
                    return Err(invalid(message.into()));
                }
                None => return Err(invalid("The page token is not valid.".into())),
            },
        };
        Ok(ListRequest {
            done,
            page_size: page_size.clamp(1, self.lists.largest_page.max(1)),
            after,
            partial,
            scope,
        })
    }

    /// The locations that this list cannot reach.
    pub fn unreachable(&self, parent: &str) -> &[String] {
        if over_all_locations(parent) {
            &self.lists.unreachable
        } else {
            &[]
        }
    }

    /// The token of the page after this name.
    pub fn token(&self, request: &ListRequest, after: &str) -> String {
        let token = Token {
            scope: request.scope.clone(),
            after: after.to_owned(),
        };
        let text = serde_json::to_vec(&token).unwrap_or_default();
        let mut bytes = match &self.key {
            Some(key) => hmac::sign(key, &text).as_ref().to_vec(),
            None => Vec::new(),
        };
        bytes.extend(text);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(&self, text: &str) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (seal, text) = bytes.split_at_checked(32)?;
        hmac::verify(self.key.as_ref()?, text, seal).ok()?;
        serde_json::from_slice(text).ok()
    }
}

/// Whether a parent stands for all locations of a project.
pub fn over_all_locations(parent: &str) -> bool {
    parent.ends_with("/locations/-")
}

/// `done=true` or `done = false` (AIP-160), or nothing at all; `None` for anything else.
fn done(filter: &str) -> Option<Option<bool>> {
    let filter = filter.trim();
    if filter.is_empty() {
        return Some(None);
    }
    let rest = filter.strip_prefix("done")?.trim_start();
    let (equal, value) = match (rest.strip_prefix("!="), rest.strip_prefix(['=', ':'])) {
        (Some(value), _) => (false, value),
        (None, Some(value)) => (true, value),
        (None, None) => return None,
    };
    match value.trim() {
        "true" => Some(Some(equal)),
        "false" => Some(Some(!equal)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_knows_done_and_nothing_else() {
        for (filter, expected) in [
            ("", Some(None)),
            ("done=true", Some(Some(true))),
            (" done = false ", Some(Some(false))),
            ("done:true", Some(Some(true))),
            ("done != true", Some(Some(false))),
            ("done", None),
            ("donee=true", None),
            ("done=1", None),
            ("done=true AND name=x", None),
        ] {
            assert_eq!(done(filter), expected, "{filter}");
        }
    }
}
