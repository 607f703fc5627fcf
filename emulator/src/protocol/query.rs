//! The query of a request: the parameters of the call and Google's system parameters. All others are refused.

use crate::protocol::call::Call;

/// Parameters that every Google API takes (the discovery documents' `parameters`), with or without a `$`.
const SYSTEM: [&str; 14] = [
    ".xgafv",
    "access_token",
    "alt",
    "apiVersion",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
    "userProject",
    "unique",
];

/// The parameters of a list, by their JSON name and their name in the proto.
const LIST: [(&str, &str); 4] = [
    ("filter", "filter"),
    ("pageSize", "page_size"),
    ("pageToken", "page_token"),
    ("returnPartialSuccess", "return_partial_success"),
];

/// The parameters of one request, decoded; the last of several with one name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query and refuses parameters that the call does not have. `is_documented` is for those of one service, which change nothing.
    ///
    /// # Errors
    /// Google's message about the first unknown parameter.
    pub fn read(
        call: Call,
        query: Option<&str>,
        is_documented: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let mut known = Vec::new();
        for (name, value) in
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned()
        {
            let own = LIST
                .iter()
                .find(|(json, proto)| name == *json || name == *proto);
            match own {
                Some((json, _)) if call == Call::List => known.push(((*json).to_owned(), value)),
                _ if SYSTEM.contains(&name.strip_prefix('$').unwrap_or(&name)) => {}
                _ if is_documented(&name) => {}
                _ => {
                    return Err(format!(
                        "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}' could not be found in request message."
                    ));
                }
            }
        }
        Ok(Self(known))
    }

    /// The value of a parameter, by its JSON name; empty if it is absent, as in a proto.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().rev().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_parameters_of_the_call_and_google_s() {
        let text = "filter=done+%3D%20true&page_size=3&%24alt=json%3Benum-encoding%3Dint&prettyPrint=false";
        let query = Query::read(Call::List, Some(text), |_| false).expect("known");
        assert_eq!(
            (query.get("filter"), query.get("pageSize")),
            ("done = true", "3")
        );
        assert_eq!(query.get("pageToken"), "");
        assert!(Query::read(Call::Get, Some("zone=a"), |name| name == "zone").is_ok());
        assert!(Query::read(Call::Get, Some("alt=json"), |_| false).is_ok());
        for (call, text) in [
            (Call::Get, "filter=x"),
            (Call::List, "pagesize=1"),
            (Call::Cancel, "x"),
        ] {
            let error = Query::read(call, Some(text), |_| false).expect_err(text);
            assert!(error.contains("Cannot bind query parameter"), "{error}");
        }
    }
}
