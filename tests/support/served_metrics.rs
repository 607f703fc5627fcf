//! What a controller serves at `/metrics`, and whether an expression asks for what is there.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{AggregateExpr, Expr, VectorSelector, parse},
    util::{ExprVisitor, walk_expr},
};

/// The labels of one series.
pub type Labels = BTreeMap<String, String>;

/// One family.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// counter, gauge or histogram.
    pub type_: String,
    /// By the name of the sample, which for histograms differs from the family's.
    pub series: Vec<(String, Labels, f64)>,
}

/// All families by name.
#[derive(Clone, Debug, Default)]
pub struct Served(pub BTreeMap<String, Family>);

impl Served {
    /// Reads the text format, in which each family's TYPE goes before its samples.
    pub fn read(text: &str) -> Self {
        let mut served = Self::default();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(type_) = line.strip_prefix("# TYPE ") {
                let (name, type_) = type_.split_once(' ').unwrap();
                family = name.to_owned();
                let before = served.0.insert(
                    family.clone(),
                    Family {
                        type_: type_.to_owned(),
                        series: Vec::new(),
                    },
                );
                assert!(before.is_none(), "{name} comes twice");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = read_series(series);
                assert!(name.starts_with(&family), "{line} stands under {family}");
                served.0.get_mut(&family).unwrap().series.push((
                    name,
                    labels,
                    value.parse().unwrap(),
                ));
            }
        }
        served
    }

    /// The value of a series as it is written, such as `a_total{b="c"}`.
    pub fn value(&self, series: &str) -> f64 {
        let (name, labels) = read_series(series);
        let mut all = self.all_series();
        let found = all.find(|(n, l, _)| *n == name && *l == labels);
        found.unwrap_or_else(|| panic!("{series} is not served")).2
    }

    /// The sum of a family's series with these labels, among others; 0 if there are none.
    pub fn sum(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.0.get(family).into_iter().flat_map(|of| &of.series);
        let fits = |of: &Labels| {
            labels
                .iter()
                .all(|(name, value)| of.get(*name).is_some_and(|given| given == value))
        };
        series.filter(|(_, of, _)| fits(of)).map(|(.., n)| n).sum()
    }

    /// Whether a status write of this kind has failed.
    pub fn has_failed_writes(&self, kind: &str) -> bool {
        let failed = [("kind", kind), ("result", "failed")];
        self.sum("opcancel_status_writes_total", &failed) > 0.0
    }

    /// The names of a family's labels, without `le`.
    pub fn labels(&self, family: &str) -> BTreeSet<&str> {
        let series = self.0[family].series.iter();
        series
            .flat_map(|(_, labels, _)| labels.keys().map(String::as_str))
            .filter(|label| *label != "le")
            .collect()
    }

    fn all_series(&self) -> impl Iterator<Item = &(String, Labels, f64)> {
        self.0.values().flat_map(|family| &family.series)
    }

    /// Reads an expression and gives back the families that it asks for. `recorded` are the names that rules record.
    ///
    /// # Errors
    /// If it cannot be read, or asks for a metric, a label or a label's value that is not there.
    pub fn asked_for(
        &self,
        expression: &str,
        recorded: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let expr = parse(&expression.replace("$__rate_interval", "5m"))
            .map_err(|error| format!("{expression}: {error}"))?;
        let mut asked = Asked {
            served: self,
            recorded,
            families: BTreeSet::new(),
            labels: BTreeSet::new(),
            used: BTreeSet::new(),
        };
        walk_expr(&mut asked, &expr).map_err(|error| format!("{expression}: {error}"))?;
        match asked.used.difference(&asked.labels).next() {
            Some(label) => Err(format!(
                "{expression}: none of its metrics has a label {label}"
            )),
            None => Ok(asked.families),
        }
    }
}

/// Name and labels. No label of ours has a comma or a quotation mark in it.
fn read_series(series: &str) -> (String, Labels) {
    let Some((name, labels)) = series.split_once('{') else {
        return (series.to_owned(), Labels::new());
    };
    let labels = labels.trim_end_matches('}').split(',').map(|label| {
        let (name, value) = label.trim().split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect())
}

/// What an expression asks for, as it is walked through.
struct Asked<'a> {
    served: &'a Served,
    recorded: &'a BTreeSet<String>,
    families: BTreeSet<String>,
    /// The labels that its metrics have.
    labels: BTreeSet<String>,
    /// The labels that it groups by or matches on.
    used: BTreeSet<String>,
}

impl Asked<'_> {
    fn selects(&mut self, selector: &VectorSelector) -> Result<(), String> {
        let name = selector
            .name
            .as_deref()
            .ok_or("a selector without a name")?;
        if self.recorded.contains(name) {
            return Ok(());
        }
        let family = self
            .served
            .0
            .iter()
            .find(|(_, family)| family.series.iter().any(|(n, ..)| n == name));
        let (family, content) = family.ok_or_else(|| format!("{name} is not served"))?;
        let series: Vec<_> = content.series.iter().filter(|(n, ..)| n == name).collect();
        if let Some(matcher) = selector
            .matchers
            .matchers
            .iter()
            .find(|matcher| !has(&series, matcher))
        {
            return Err(format!("{name} has no series with {matcher:?}"));
        }
        self.labels.extend(
            series
                .iter()
                .flat_map(|(_, labels, _)| labels.keys().cloned()),
        );
        // What Prometheus adds to everything that it scrapes in a cluster.
        self.labels
            .extend(["job", "instance", "namespace", "cluster"].map(str::to_owned));
        self.families.insert(family.clone());
        Ok(())
    }
}

/// Whether any series has the label with such a value; of a regular expression each alternative must be there.
fn has(series: &[&(String, Labels, f64)], matcher: &Matcher) -> bool {
    let values: Vec<_> = series
        .iter()
        .filter_map(|(_, labels, _)| labels.get(&matcher.name))
        .collect();
    match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => values.contains(&&matcher.value),
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher
            .value
            .split('|')
            .all(|alternative| values.iter().any(|value| *value == alternative)),
    }
}

impl ExprVisitor for Asked<'_> {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selects(selector)?,
            // The selector in its brackets is no expression of its own.
            Expr::MatrixSelector(matrix) => self.selects(&matrix.vs)?,
            Expr::Aggregate(AggregateExpr {
                modifier: Some(by), ..
            }) => self.used.extend(by.labels().labels.clone()),
            Expr::Binary(binary) => {
                let on = binary
                    .modifier
                    .as_ref()
                    .and_then(|modifier| modifier.matching.as_ref());
                self.used
                    .extend(on.into_iter().flat_map(|on| on.labels().labels.clone()));
            }
            _ => {}
        }
        Ok(true)
    }
}
