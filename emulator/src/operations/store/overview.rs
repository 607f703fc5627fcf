//! One page of the operations, selected by name and phase, for the web page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Store;
use crate::operations::operation_view::{OperationView, phase_name};

/// The selection and the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Only names that contain this; empty for all.
    pub search: String,
    /// Only operations in this phase; empty for all.
    pub phase: String,
    /// The order.
    pub order: Order,
    /// The page, from 1. A greater number than the last page's means the last page.
    pub page: usize,
}

/// The order of a selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// By the last request, newest first.
    Asked,
}

/// A page of operations.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// The operations of this page.
    pub rows: Vec<OperationView>,
    /// The number of this page, from 1.
    pub page: usize,
    /// How many pages the selection has; at least one.
    pub pages: usize,
    /// How many operations the selection has.
    pub selected: usize,
    /// The number of operations in each phase; phases without any are left out.
    pub phases: BTreeMap<&'static str, usize>,
}

impl Store {
    /// One page of the selected operations, with this page size.
    pub fn overview(&self, selection: &Selection, page_size: usize) -> Overview {
        let mut inner = self.lock();
        let mut phases = BTreeMap::new();
        let mut selected = Vec::new();
        for (name, entry) in &mut inner.operations {
            let phase = phase_name(&entry.phase());
            *phases.entry(phase).or_default() += 1;
            if (selection.phase.is_empty() || selection.phase == phase)
                && name.contains(&selection.search)
            {
                selected.push((name, entry));
            }
        }
        match selection.order {
            Order::Name => selected.sort_unstable_by(|a, b| a.0.cmp(b.0)),
            Order::Asked => selected.sort_unstable_by(|a, b| {
                let by_time = b.1.last_asked.cmp(&a.1.last_asked);
                by_time.then_with(|| a.0.cmp(b.0))
            }),
        }
        let page_size = page_size.max(1);
        let pages = selected.len().div_ceil(page_size).max(1);
        let page = selection.page.clamp(1, pages);
        let count = selected.len();
        let rows = selected
            .into_iter()
            .skip((page - 1) * page_size)
            .take(page_size)
            .map(|(name, entry)| entry.view(name))
            .collect();
        Overview {
            rows,
            page,
            pages,
            selected: count,
            phases,
        }
    }

    /// One operation, if there is one of this name.
    pub fn view(&self, name: &str) -> Option<OperationView> {
        let mut inner = self.lock();
        let entry = inner.operations.get_mut(name)?;
        Some(entry.view(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::call::Call, scenario::script::Script};

    #[test]
    fn shows_a_page_of_what_is_selected_in_the_order_that_is_wanted() {
        let store = Store::new(&crate::Scenario::default());
        for number in 0..25 {
            store.set(
                &format!("projects/p/operations/o{number:02}"),
                Script::default(),
            );
        }
        let absent = Script {
            exists: false,
            ..Script::default()
        };
        store.set("projects/p/operations/never", absent);
        store.arrive("projects/p/operations/o07", Call::Get, "x@y");
        let names = |selection: &Selection| -> Vec<String> {
            let rows = store.overview(selection, 10).rows.into_iter();
            rows.map(|row| row.name.rsplit('/').next().unwrap_or_default().to_owned())
                .collect()
        };
        let all = Selection::default();
        let overview = store.overview(&all, 10);
        assert_eq!(
            (overview.page, overview.pages, overview.selected),
            (1, 3, 26)
        );
        assert_eq!(
            overview.phases,
            BTreeMap::from([("absent", 1), ("running", 25)])
        );
        assert_eq!(names(&all).first().map(String::as_str), Some("never"));
        let last = Selection {
            page: 99,
            ..Selection::default()
        };
        assert_eq!(names(&last), ["o19", "o20", "o21", "o22", "o23", "o24"]);
        let found = Selection {
            search: "/o1".into(),
            phase: "running".into(),
            ..Selection::default()
        };
        assert_eq!(names(&found).len(), 10);
        let asked = Selection {
            order: Order::Asked,
            ..Selection::default()
        };
        assert_eq!(names(&asked).first().map(String::as_str), Some("o07"));
    }
}
