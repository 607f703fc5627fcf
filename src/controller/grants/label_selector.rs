//! Whether a namespace's labels match the selector of a grant. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{LabelOperator, LabelRequirement, NamespaceSelector, label_rules};

/// The labels of one namespace.
pub type Labels = BTreeMap<String, String>;

/// A valid selector. It has at least one requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// The selector of a grant.
    ///
    /// # Errors
    /// If it has no requirement, or one that the CRD of this release refuses: what is wrong, with its place.
    pub fn new(selector: &NamespaceSelector) -> Result<Self, String> {
        let labels = selector.match_labels.iter();
        let labels = labels.map(|(key, value)| {
            valid(key, [value]).map_err(|why| format!("matchLabels: {why}"))?;
            Ok(Requirement {
                key: key.clone(),
                condition: Condition::In(BTreeSet::from([value.clone()])),
            })
        });
        let expressions = selector.match_expressions.iter().enumerate();
        let expressions = expressions.map(|(index, requirement)| {
            expression(requirement).map_err(|why| format!("matchExpressions[{index}]: {why}"))
        });
        let requirements: Vec<_> = labels.chain(expressions).collect::<Result<_, String>>()?;
        if requirements.is_empty() {
            return Err(
                "it has no requirement; for all namespaces, use namespaces: [\"*\"]".to_owned(),
            );
        }
        Ok(Self { requirements })
    }

    /// Whether these labels match all requirements.
    pub fn matches(&self, labels: &Labels) -> bool {
        let mut requirements = self.requirements.iter();
        requirements.all(|Requirement { key, condition }| {
            let value = labels.get(key);
            match condition {
                Condition::In(values) => value.is_some_and(|value| values.contains(value)),
                Condition::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Condition::Exists => value.is_some(),
                Condition::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The keys of the labels that it depends on.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements
            .iter()
            .map(|requirement| requirement.key.as_str())
    }
}

fn expression(requirement: &LabelRequirement) -> Result<Requirement, String> {
    let LabelRequirement {
        key,
        operator,
        values,
    } = requirement;
    valid(key, values)?;
    let has_values = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
    if has_values == values.is_empty() {
        let are = if has_values {
            "required"
        } else {
            "not allowed"
        };
        return Err(format!("values are {are} for {}", operator.name()));
    }
    Ok(Requirement {
        key: key.clone(),
        condition: match operator {
            LabelOperator::In => Condition::In(values.clone()),
            LabelOperator::NotIn => Condition::NotIn(values.clone()),
            LabelOperator::Exists => Condition::Exists,
            LabelOperator::DoesNotExist => Condition::DoesNotExist,
        },
    })
}

/// Checks that a label can have this key and these values.
fn valid<'a>(key: &str, values: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    if !label_rules::is_key(key) {
        return Err(format!("{key:?}: {}", label_rules::EXPECTED_KEY));
    }
    match values
        .into_iter()
        .find(|value| !label_rules::is_value(value))
    {
        Some(value) => Err(format!("{value:?}: {}", label_rules::EXPECTED_VALUE)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn selector(json: Value) -> Result<LabelSelector, String> {
        LabelSelector::new(&serde_json::from_value(json).map_err(|error| error.to_string())?)
    }

    fn labels(json: &Value) -> Labels {
        serde_json::from_value(json.clone()).unwrap()
    }

    /// As `kubectl get namespaces --selector` selects.
    #[test]
    fn each_operator_means_what_it_means_in_kubernetes() {
        let expression = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
        let without_values =
            |operator: &str| json!({"matchExpressions": [{"key": "tier", "operator": operator}]});
        let (none, dev, empty) = (
            json!({"other": "dev"}),
            json!({"tier": "dev"}),
            json!({"tier": ""}),
        );
        for (requirement, matching) in [
            (json!({"matchLabels": {"tier": "dev"}}), &[&dev][..]),
            (json!({"matchLabels": {"tier": ""}}), &[&empty]),
            (expression("In", json!(["dev", "test"])), &[&dev]),
            (expression("NotIn", json!(["dev"])), &[&none, &empty]),
            (without_values("Exists"), &[&dev, &empty]),
            (without_values("DoesNotExist"), &[&none]),
        ] {
            let selector = selector(requirement.clone()).unwrap();
            for namespace in [&none, &dev, &empty] {
                assert_eq!(
                    selector.matches(&labels(namespace)),
                    matching.contains(&namespace),
                    "{requirement} {namespace}"
                );
            }
        }
    }

    #[test]
    fn what_the_crd_refuses_is_refused_here_too() {
        let one = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        for (json, said) in [
            (json!({}), "no requirement"),
            (json!({"matchLabels": {}}), "no requirement"),
            (json!({"matchExpressions": []}), "no requirement"),
            (json!({"matchLabels": {"-a": "b"}}), "the key of a label"),
            (json!({"matchLabels": {"a": "b*"}}), "the value of a label"),
            (json!({"matchLabels": {"a": 1}}), "string"),
            (json!({"matchLabels": {"a": null}}), "string"),
            (json!({"matchLables": {"a": "b"}}), "unknown field"),
            (one("a", "In", json!([])), "values are required for In"),
            (
                one("a", "NotIn", json!([])),
                "values are required for NotIn",
            ),
            (one("a", "Exists", json!(["b"])), "not allowed for Exists"),
            (
                one("a", "DoesNotExist", json!(["b"])),
                "not allowed for DoesNotExist",
            ),
            (one("a", "Gt", json!(["1"])), "unknown variant"),
            (one("a", "in", json!(["1"])), "unknown variant"),
            (
                one("a b", "In", json!(["1"])),
                "matchExpressions[0]: \"a b\"",
            ),
            (one("a", "In", json!(["b", "c/d"])), "\"c/d\""),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "more": 1}]}),
                "unknown field",
            ),
        ] {
            let why = selector(json.clone()).unwrap_err();
            assert!(why.contains(said), "{json}: {why}");
        }
    }

    fn requirement() -> impl Strategy<Value = (String, Vec<String>, LabelOperator)> {
        let operator = prop::sample::select(vec![
            LabelOperator::In,
            LabelOperator::NotIn,
            LabelOperator::Exists,
            LabelOperator::DoesNotExist,
        ]);
        ("[ab]", prop::collection::vec("[xy]", 1..3), operator)
    }

    proptest! {
        /// A requirement more never selects more, and what one key says does not depend on other keys.
        #[test]
        fn requirements_only_restrict_and_see_only_their_key(
            requirements in prop::collection::vec(requirement(), 1..4),
            labels in prop::collection::btree_map("[abc]", "[xyz]", 0..4),
        ) {
            let expression = |(key, values, operator): &(String, Vec<String>, LabelOperator)| {
                let takes = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
                LabelRequirement {
                    key: key.clone(),
                    operator: *operator,
                    values: values.iter().filter(|_| takes).cloned().collect(),
                }
            };
            let of = |requirements: &[(String, Vec<String>, LabelOperator)]| {
                let selector = NamespaceSelector {
                    match_expressions: requirements.iter().map(expression).collect(),
                    ..NamespaceSelector::default()
                };
                LabelSelector::new(&selector).unwrap()
            };
            let whole = of(&requirements);
            let each = requirements.iter().all(|one| of(std::slice::from_ref(one)).matches(&labels));
            prop_assert_eq!(whole.matches(&labels), each);
            let keys: BTreeSet<&str> = whole.keys().collect();
            let seen: Labels = labels.clone().into_iter().filter(|(key, _)| keys.contains(key.as_str())).collect();
            prop_assert_eq!(whole.matches(&labels), whole.matches(&seen));
        }
    }
}
