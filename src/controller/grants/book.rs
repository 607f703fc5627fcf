//! What all CancellationGrants allow together.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::watch;

use super::{label_selector::LabelSelector, namespace_labels::NamespaceLabels};
use crate::{
    api::{CancellationGrantSpec, IdentityKind},
    google::{catalogue::Target, operation_name::location_in},
    lifecycle::Grant,
};

/// The entry that matches everything.
const ALL: &str = "*";

/// All grants, and the labels that they select namespaces by. A call is allowed if one grant alone allows all of it.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    rows: Arc<Rows>,
    labels: Arc<NamespaceLabels>,
}

/// All grants, by namespace.
#[derive(Debug, Default)]
struct Rows {
    by_namespace: HashMap<String, Vec<Arc<Row>>>,
    for_all_namespaces: Vec<Arc<Row>>,
    by_selector: Vec<(LabelSelector, Row)>,
    /// The grants could not be read for too long: nothing is allowed, and it is not known what they grant.
    is_unknown: bool,
}

/// What a grant has to contain for an operation: its parent, or its whole name if it has no parent. The operation's id is never
/// interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit<S> {
    /// The parent.
    Under(S),
    /// The whole name.
    Alone(S),
}

impl<'a> Unit<&'a str> {
    /// The unit of an operation.
    pub fn of(target: &'a Target) -> Self {
        match target.parent() {
            Some(parent) => Self::Under(parent),
            None => Self::Alone(target.name.as_str()),
        }
    }

    /// An owned copy.
    pub fn to_owned(self) -> Unit<String> {
        match self {
            Self::Under(parent) => Unit::Under(parent.to_owned()),
            Self::Alone(name) => Unit::Alone(name.to_owned()),
        }
    }
}

impl Unit<String> {
    /// Borrowed, for looking it up.
    pub fn as_str(&self) -> Unit<&str> {
        match self {
            Self::Under(parent) => Unit::Under(parent),
            Self::Alone(name) => Unit::Alone(name),
        }
    }
}

#[derive(Debug)]
struct Row {
    all_projects: bool,
    /// Including the projects, as `projects/P`.
    parents: BTreeSet<String>,
    all_operations: bool,
    operations: BTreeSet<String>,
    all_services: bool,
    services: BTreeSet<String>,
    identities: BTreeSet<IdentityKind>,
}

impl Row {
    fn new(spec: &CancellationGrantSpec) -> Self {
        let projects = spec.projects.iter().filter(|project| *project != ALL);
        Self {
            all_projects: spec.projects.contains(ALL),
            parents: projects
                .map(|project| format!("projects/{project}"))
                .chain(
                    spec.parents
                        .iter()
                        .filter(|parent| parent.contains('/'))
                        .cloned(),
                )
                .collect(),
            all_operations: spec.operation_names.contains(ALL),
            operations: spec.operation_names.clone(),
            all_services: spec.services.contains(ALL),
            services: spec.services.clone(),
            identities: spec.identities.clone(),
        }
    }

    /// `*` never allows the operator's own identity, even in a grant that an older CRD accepted.
    fn allows(&self, unit: Unit<&str>, service: &str, identity: IdentityKind) -> bool {
        let star = identity == IdentityKind::ServiceAccount;
        let unit = match unit {
            Unit::Under(parent) => {
                self.has_above(parent) || star && self.all_projects && is_in_project(parent)
            }
            Unit::Alone(name) => {
                name != ALL && self.operations.contains(name) || star && self.all_operations
            }
        };
        let service =
            service != ALL && self.services.contains(service) || star && self.all_services;
        unit && service && self.identities.contains(&identity)
    }

    /// The services with the locations in parents; `None` for a parent without one, and for names without a parent.
    fn named_services(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let parents = self.parents.iter();
        let mut locations: BTreeSet<_> = parents.map(|parent| location_in(parent)).collect();
        if self.all_projects || !self.operations.is_empty() {
            locations.insert(None);
        }
        let services = self.services.iter().map(String::as_str);
        services
            .filter(|service| *service != ALL)
            .flat_map(move |service| {
                let locations = locations.clone();
                locations
                    .into_iter()
                    .map(move |location| (service, location))
            })
    }

    /// Whether the parent, or one of its ancestors, is in the list.
    fn has_above(&self, parent: &str) -> bool {
        let borders = parent.match_indices('/').map(|(at, _)| at);
        borders
            .chain([parent.len()])
            .filter_map(|end| parent.get(..end))
            .any(|above| self.parents.contains(above))
    }
}

/// Whether a parent is a project or in one; `projects/_` is not a project.
fn is_in_project(parent: &str) -> bool {
    let mut segments = parent.split('/');
    segments.next() == Some("projects") && segments.next().is_some_and(|project| project != "_")
}

impl Rows {
    fn add(&mut self, spec: &CancellationGrantSpec) {
        let row = Row::new(spec);
        if let Some(selector) = &spec.namespace_selector {
            // A grant with both, or with an invalid selector, grants nothing.
            if spec.namespaces.is_empty()
                && let Ok(selector) = LabelSelector::new(selector)
            {
                self.by_selector.push((selector, row));
            }
            return;
        }
        let row = Arc::new(row);
        if spec.namespaces.contains(ALL) {
            self.for_all_namespaces.push(row);
            return;
        }
        for namespace in &spec.namespaces {
            self.by_namespace
                .entry(namespace.clone())
                .or_default()
                .push(row.clone());
        }
    }
}

impl Grants {
    /// The grants when it is not known what they are.
    pub fn unknown() -> Self {
        Self {
            rows: Arc::new(Rows {
                is_unknown: true,
                ..Rows::default()
            }),
            ..Self::default()
        }
    }

    /// The services that the grants of these namespaces name, with the locations of the names that each grant allows; of all
    /// namespaces if there are none. `*` names none. A selector may select any namespace.
    pub fn services_and_locations(&self, namespaces: &[String]) -> BTreeSet<(&str, Option<&str>)> {
        let rows = &self.rows;
        let by_namespace = rows.by_namespace.iter();
        let by_name = by_namespace
            .filter(|(of, _)| namespaces.is_empty() || namespaces.contains(of))
            .flat_map(|(_, rows)| rows)
            .chain(&rows.for_all_namespaces)
            .map(Arc::as_ref);
        by_name
            .chain(rows.by_selector.iter().map(|(_, row)| row))
            .flat_map(Row::named_services)
            .collect()
    }

    /// From the specs of all grants. No labels are known yet.
    pub fn new<'a>(specs: impl IntoIterator<Item = &'a CancellationGrantSpec>) -> Self {
        let mut rows = Rows::default();
        specs.into_iter().for_each(|spec| rows.add(spec));
        Self {
            rows: Arc::new(rows),
            ..Self::default()
        }
    }

    /// The same grants with these labels.
    #[must_use]
    pub fn with_labels(&self, labels: Arc<NamespaceLabels>) -> Self {
        Self {
            rows: self.rows.clone(),
            labels,
        }
    }

    /// The keys of the labels that any selector depends on.
    pub fn label_keys(&self) -> BTreeSet<String> {
        let selectors = self.rows.by_selector.iter();
        selectors
            .flat_map(|(selector, _)| selector.keys())
            .map(str::to_owned)
            .collect()
    }

    /// Whether one grant allows this namespace, operation, service and identity together.
    pub fn allows(
        &self,
        namespace: &str,
        unit: Unit<&str>,
        service: &str,
        identity: IdentityKind,
    ) -> bool {
        let own = self.rows.by_namespace.get(namespace).into_iter().flatten();
        own.chain(&self.rows.for_all_namespaces)
            .any(|row| row.allows(unit, service, identity))
            || self
                .selectors_of(unit, service, identity)
                .any(|selector| self.labels.match_selector(namespace, selector))
    }

    /// The selectors of the grants that allow this to the namespaces which they select.
    fn selectors_of(
        &self,
        unit: Unit<&str>,
        service: &str,
        identity: IdentityKind,
    ) -> impl Iterator<Item = &LabelSelector> {
        let rows = self.rows.by_selector.iter();
        rows.filter(move |(_, row)| row.allows(unit, service, identity))
            .map(|(selector, _)| selector)
    }

    /// The same for the life cycle.
    pub fn grant(
        &self,
        namespace: &str,
        unit: Unit<&str>,
        service: &str,
        identity: IdentityKind,
    ) -> Grant {
        let may_be_selected = || {
            let mut selectors = self.selectors_of(unit, service, identity);
            self.labels.are_lost_of(namespace) && selectors.next().is_some()
        };
        if self.rows.is_unknown {
            Grant::Unknown
        } else if self.allows(namespace, unit, service, identity) {
            Grant::Granted
        } else if may_be_selected() {
            Grant::Unknown
        } else {
            Grant::NotGranted
        }
    }
}

/// The latest grants, shared by the dispatcher and the calls.
///
/// It is empty until the first list, so nothing is allowed before. If the watch fails, the last grants stay until a full list is
/// overdue; then nothing is allowed, and it is not known what is granted.
#[derive(Clone, Debug, Default)]
pub struct GrantBook(Arc<watch::Sender<Arc<Grants>>>);

impl GrantBook {
    /// The grants now.
    pub fn now(&self) -> Arc<Grants> {
        self.0.borrow().clone()
    }

    /// Replaces the grants. The labels stay.
    pub fn replace(&self, grants: &Grants) {
        self.0.send_modify(|current| {
            *current = Arc::new(grants.with_labels(current.labels.clone()));
        });
    }

    /// Replaces the labels. The grants stay.
    pub fn replace_labels(&self, labels: NamespaceLabels) {
        self.0.send_modify(|current| {
            *current = Arc::new(current.with_labels(Arc::new(labels)));
        });
    }

    /// The grants, as they change.
    pub fn changes(&self) -> watch::Receiver<Arc<Grants>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{api::NamespaceSelector, controller::grants::label_selector::Labels};
    use IdentityKind::{Operator, ServiceAccount};

    fn set(entries: &[&str]) -> BTreeSet<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    fn grant(
        namespaces: &[&str],
        projects: &[&str],
        identities: &[IdentityKind],
    ) -> CancellationGrantSpec {
        CancellationGrantSpec {
            namespaces: set(namespaces),
            namespace_selector: None,
            projects: set(projects),
            parents: BTreeSet::new(),
            operation_names: BTreeSet::new(),
            services: set(&["dialogflow"]),
            identities: identities.iter().copied().collect(),
        }
    }

    /// Whether a namespace may call an operation of a project.
    fn allows(
        grants: &Grants,
        namespace: &str,
        project: &str,
        service: &str,
        identity: IdentityKind,
    ) -> bool {
        let parent = format!("projects/{project}/locations/eu");
        grants.allows(namespace, Unit::Under(&parent), service, identity)
    }

    #[test]
    fn all_four_must_stand_in_one_grant() {
        let grants = Grants::new(&[
            grant(&["a"], &["p"], &[Operator]),
            grant(&["b"], &["q"], &[ServiceAccount]),
        ]);
        assert!(allows(&grants, "a", "p", "dialogflow", Operator));
        assert!(allows(&grants, "b", "q", "dialogflow", ServiceAccount));
        for (namespace, project, service, identity) in [
            ("a", "q", "dialogflow", Operator),
            ("b", "p", "dialogflow", Operator),
            ("a", "p", "dialogflow", ServiceAccount),
            ("a", "p", "speech", Operator),
            ("a", "p", "", Operator),
            ("", "p", "dialogflow", Operator),
            ("A", "p", "dialogflow", Operator),
        ] {
            assert!(
                !allows(&grants, namespace, project, service, identity),
                "{namespace} {project} {service} {identity:?}"
            );
        }
    }

    #[test]
    fn a_star_is_everything_but_the_operators_projects() {
        let grants = Grants::new(&[
            grant(&["*"], &["p"], &[Operator]),
            grant(&["a", "*"], &["*", "r"], &[Operator, ServiceAccount]),
        ]);
        assert!(allows(&grants, "anything", "p", "dialogflow", Operator));
        assert!(allows(
            &grants,
            "anything",
            "whatever",
            "dialogflow",
            ServiceAccount
        ));
        assert!(!allows(&grants, "a", "whatever", "dialogflow", Operator));
        assert!(!allows(&grants, "a", "*", "speech", ServiceAccount));
        // A project that is named beside the star is allowed by its name.
        assert!(allows(&grants, "a", "r", "dialogflow", Operator));
    }

    /// What each list allows. The grants have both identities, which only an older CRD accepts beside a star, to show that a star
    /// never allows the operator's identity.
    #[test]
    fn each_list_allows_what_it_says_on_the_borders_of_segments() {
        let both = [Operator, ServiceAccount];
        let of = |projects: &[&str], parents: &[&str], operations: &[&str]| CancellationGrantSpec {
            projects: set(projects),
            parents: set(parents),
            operation_names: set(operations),
            ..grant(&["a"], &[], &both)
        };
        let (under, alone) = (Unit::Under, Unit::Alone);
        let everybody: &[IdentityKind] = &both;
        let tenant: &[IdentityKind] = &[ServiceAccount];
        let nobody: &[IdentityKind] = &[];
        for (spec, unit, allowed) in [
            (of(&["p"], &[], &[]), under("projects/p"), everybody),
            (
                of(&["p"], &[], &[]),
                under("projects/p/locations/eu"),
                everybody,
            ),
            (of(&["p"], &[], &[]), under("projects/p2"), nobody),
            (
                of(&["p"], &[], &[]),
                under("projects/p2/locations/eu"),
                nobody,
            ),
            (of(&["p"], &[], &[]), under("folders/p"), nobody),
            (
                of(&["p"], &[], &[]),
                under("organizations/1/projects/p"),
                nobody,
            ),
            (of(&["p"], &[], &[]), alone("operations/projects/p"), nobody),
            (of(&["p"], &[], &[]), alone("operations/build/p/x"), nobody),
            (
                of(&[], &["projects/p"], &[]),
                under("projects/p/locations/eu"),
                everybody,
            ),
            (
                of(&[], &["projects/p/locations/eu"], &[]),
                under("projects/p/locations/eu/agents/a"),
                everybody,
            ),
            (
                of(&[], &["projects/p/locations/eu"], &[]),
                under("projects/p"),
                nobody,
            ),
            (
                of(&[], &["projects/p/locations/eu"], &[]),
                under("projects/p/locations/eu1"),
                nobody,
            ),
            (
                of(&[], &["organizations/1"], &[]),
                under("organizations/1/locations/global"),
                everybody,
            ),
            (
                of(&[], &["organizations/1"], &[]),
                under("organizations/12"),
                nobody,
            ),
            (
                of(&[], &["organizations/1"], &[]),
                under("projects/p"),
                nobody,
            ),
            (
                of(&[], &["projects/_/buckets/b"], &[]),
                under("projects/_/buckets/b"),
                everybody,
            ),
            (
                of(&[], &["projects/_/buckets/b"], &[]),
                under("projects/_/buckets/b2"),
                nobody,
            ),
            (
                of(&[], &[], &["operations/x"]),
                alone("operations/x"),
                everybody,
            ),
            (
                of(&[], &[], &["operations/x"]),
                alone("operations/x/y"),
                nobody,
            ),
            (
                of(&[], &[], &["operations/x"]),
                alone("operations/y"),
                nobody,
            ),
            (
                of(&[], &[], &["projects/p/operations/x"]),
                under("projects/p"),
                nobody,
            ),
            (
                of(&["*"], &[], &[]),
                under("projects/p/locations/eu"),
                tenant,
            ),
            (of(&["*"], &[], &[]), under("projects/_/buckets/b"), nobody),
            (of(&["*"], &[], &[]), under("organizations/1"), nobody),
            (of(&["*"], &[], &[]), alone("operations/x"), nobody),
            (of(&[], &[], &["*"]), alone("operations/x"), tenant),
            (of(&[], &[], &["*"]), under("projects/p"), nobody),
            // The CRD does not accept these; they allow nothing.
            (of(&[], &["*"], &[]), under("projects/p"), nobody),
            (of(&[], &["projects"], &[]), under("projects/p"), nobody),
            (of(&[], &[], &[]), under("projects/p"), nobody),
            (of(&[], &[], &[]), alone("operations/x"), nobody),
        ] {
            let grants = Grants::new([&spec]);
            for identity in both {
                assert_eq!(
                    grants.allows("a", unit, "dialogflow", identity),
                    allowed.contains(&identity),
                    "{spec:?} {unit:?} {identity:?}"
                );
            }
        }
    }

    #[test]
    fn a_star_among_the_services_is_for_tenants_own_identities() {
        let spec = CancellationGrantSpec {
            services: set(&["*"]),
            ..grant(&["a"], &["p"], &[Operator, ServiceAccount])
        };
        let grants = Grants::new([&spec]);
        assert!(allows(&grants, "a", "p", "speech", ServiceAccount));
        for service in ["speech", "dialogflow", "*"] {
            assert!(!allows(&grants, "a", "p", service, Operator), "{service}");
        }
    }

    #[test]
    fn the_services_are_those_that_any_grant_names() {
        let spec = |services: &[&str], namespaces: &[&str]| CancellationGrantSpec {
            services: set(services),
            ..grant(namespaces, &["p"], &[ServiceAccount])
        };
        let grants = Grants::new(&[
            spec(&["speech", "*"], &["a", "b"]),
            spec(&["dialogflow"], &["*"]),
        ]);
        for (namespaces, services) in [
            (&[][..], &["dialogflow", "speech"][..]),
            (&["b", "c"], &["dialogflow", "speech"]),
            (&["c"], &["dialogflow"]),
        ] {
            let namespaces: Vec<_> = namespaces.iter().map(ToString::to_string).collect();
            let found = grants.services_and_locations(&namespaces);
            let services = services.iter().map(|service| (*service, None));
            assert_eq!(found, services.collect());
        }
    }

    #[test]
    fn the_locations_of_a_service_are_those_of_the_same_grant_s_parents() {
        let spec = |service: &str, parents: &[&str], projects: &[&str]| CancellationGrantSpec {
            services: set(&[service]),
            parents: set(parents),
            ..grant(&["a"], projects, &[Operator])
        };
        let grants = Grants::new(&[
            spec(
                "aiplatform",
                &[
                    "projects/p/locations/eu/models/1",
                    "projects/q/locations/us",
                ],
                &[],
            ),
            spec("dialogflow", &["projects/p/locations/asia"], &["p"]),
            spec(
                "logging",
                &["organizations/7", "projects/p/zones/not_one"],
                &[],
            ),
            CancellationGrantSpec {
                operation_names: set(&["operations/projects/p/locations/eu/operations/o"]),
                ..spec("videointelligence", &[], &[])
            },
        ]);
        let found = [
            ("aiplatform", Some("eu")),
            ("aiplatform", Some("us")),
            ("dialogflow", None),
            ("dialogflow", Some("asia")),
            ("logging", None),
            ("videointelligence", None),
        ];
        assert_eq!(grants.services_and_locations(&[]), found.into());
    }

    #[test]
    fn globs_match_nothing() {
        let grants = Grants::new(&[grant(&["team-*"], &["acme-*"], &[Operator, ServiceAccount])]);
        assert!(!allows(
            &grants,
            "team-a",
            "acme-prod",
            "dialogflow",
            Operator
        ));
    }

    #[test]
    fn nothing_is_allowed_before_the_grants_were_read() {
        let book = GrantBook::default();
        assert!(!allows(&book.now(), "a", "p", "dialogflow", Operator));
        book.replace(&Grants::new(&[grant(&["a"], &["p"], &[Operator])]));
        assert!(allows(&book.now(), "a", "p", "dialogflow", Operator));
        book.replace(&Grants::default());
        assert!(!allows(&book.now(), "a", "p", "dialogflow", Operator));
    }
    fn selecting(labels: &[(&str, &str)], project: &str) -> CancellationGrantSpec {
        let labels = labels.iter();
        CancellationGrantSpec {
            namespace_selector: Some(NamespaceSelector {
                match_labels: labels
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                ..NamespaceSelector::default()
            }),
            ..grant(&[], &[project], &[Operator])
        }
    }

    /// The labels `team` of namespaces.
    fn teams(teams: &[(&str, &str)]) -> NamespaceLabels {
        let of = |team: &str| Labels::from([("team".to_owned(), team.to_owned())]);
        let read = teams
            .iter()
            .map(|(namespace, team)| (Arc::from(*namespace), Some(Arc::new(of(team)))));
        NamespaceLabels::new(set(&["team"]), read)
    }

    #[test]
    fn a_selector_allows_the_namespaces_that_have_the_label_now() {
        let book = GrantBook::default();
        book.replace(&Grants::new(&[
            selecting(&[("team", "a")], "p"),
            grant(&["b"], &["q"], &[Operator]),
        ]));
        let granted = |namespace: &str, project: &str| {
            let parent = format!("projects/{project}");
            book.now()
                .grant(namespace, Unit::Under(&parent), "dialogflow", Operator)
        };
        // The labels were not read yet.
        assert_eq!(granted("a-1", "p"), Grant::NotGranted);
        book.replace_labels(teams(&[("a-1", "a"), ("b", "b")]));
        assert_eq!(granted("a-1", "p"), Grant::Granted);
        for (namespace, project) in [("b", "p"), ("a-1", "q"), ("a-2", "p"), ("a", "p")] {
            assert_eq!(
                granted(namespace, project),
                Grant::NotGranted,
                "{namespace}"
            );
        }
        // Other grants: the labels stay.
        book.replace(&Grants::new(&[selecting(&[("team", "b")], "p")]));
        assert_eq!(granted("a-1", "p"), Grant::NotGranted);
        assert_eq!(granted("b", "p"), Grant::Granted);
        book.replace_labels(teams(&[("b", "a")]));
        assert_eq!(granted("b", "p"), Grant::NotGranted);
    }

    #[test]
    fn lost_labels_make_unknown_what_a_selector_may_allow_and_nothing_else() {
        let both = [
            selecting(&[("team", "a")], "p"),
            grant(&["b"], &["q"], &[Operator]),
        ];
        let labels = Arc::new(NamespaceLabels::lost());
        let grants = Grants::new(&both).with_labels(labels);
        for (project, identity, expected) in [
            ("p", Operator, Grant::Unknown),
            ("p", ServiceAccount, Grant::NotGranted),
            ("q", Operator, Grant::Granted),
            ("r", Operator, Grant::NotGranted),
        ] {
            let parent = format!("projects/{project}");
            let unit = Unit::Under(parent.as_str());
            let found = grants.grant("b", unit, "dialogflow", identity);
            assert_eq!(found, expected, "{project} {identity:?}");
            assert_eq!(
                grants.allows("b", unit, "dialogflow", identity),
                expected == Grant::Granted
            );
        }
    }

    /// The CRD and the reading of grants refuse these already.
    #[test]
    fn a_grant_with_names_and_a_selector_or_with_an_invalid_one_allows_nothing() {
        let names_too = CancellationGrantSpec {
            namespaces: set(&["a", "*"]),
            ..selecting(&[("team", "a")], "p")
        };
        for spec in [
            names_too,
            selecting(&[], "p"),
            selecting(&[("team", "*")], "p"),
        ] {
            let grants = Grants::new([&spec]).with_labels(Arc::new(teams(&[("a", "a")])));
            assert!(
                !allows(&grants, "a", "p", "dialogflow", Operator),
                "{spec:?}"
            );
            assert_eq!(grants.label_keys(), BTreeSet::new());
        }
    }

    #[test]
    fn a_selector_counts_for_the_services_of_all_namespaces() {
        let grants = Grants::new(&[selecting(&[("team", "a")], "p")]);
        assert_eq!(grants.services_and_locations(&["b".to_owned()]).len(), 1);
        assert_eq!(grants.label_keys(), set(&["team"]));
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// A selector allows exactly what a grant by name would allow to the namespaces with the label.
            #[test]
            fn a_selector_is_the_list_of_the_namespaces_that_it_selects(
                has in prop::collection::btree_map("[a-d]", "[xy]", 0..5),
                wanted in prop::collection::btree_map("[ab]", "[xy]", 1..3),
                namespace in "[a-e]",
            ) {
                let both = |labels: &BTreeMap<String, String>| -> Vec<(String, String)> {
                    labels.clone().into_iter().collect()
                };
                // Each namespace has the labels `a` and `b` alike.
                let labels_of = |value: &String| Labels::from([
                    ("a".to_owned(), value.clone()), ("b".to_owned(), value.clone()),
                ]);
                let read = has.iter().map(|(name, value)| (Arc::from(name.as_str()), Some(Arc::new(labels_of(value)))));
                let labels = Arc::new(NamespaceLabels::new(set(&["a", "b"]), read));
                let wanted_labels = both(&wanted);
                let wanted_labels: Vec<_> = wanted_labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                let by_label = Grants::new(&[selecting(&wanted_labels, "p")]).with_labels(labels);
                let selected: Vec<&str> = has.iter()
                    .filter(|(_, value)| wanted.values().all(|wanted| wanted == *value))
                    .map(|(name, _)| name.as_str())
                    .collect();
                let by_name = Grants::new(&[grant(&selected, &["p"], &[Operator])]);
                for (project, identity) in [("p", Operator), ("q", Operator), ("p", ServiceAccount)] {
                    prop_assert_eq!(
                        allows(&by_label, &namespace, project, "dialogflow", identity),
                        allows(&by_name, &namespace, project, "dialogflow", identity)
                    );
                }
            }
        }
    }
}
