//! The rooms of `src/`, of the emulator and of the probe: a room imports only rooms below it, and in most rooms no modules import
//! each other in a circle.
//!
//! It reads the text of the imports. Unit tests may import anything.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic anywhere"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms, the lowest first. A room may import the rooms before it.
const ROOMS: [&str; 13] = [
    "backoff",
    "duration_text",
    "api",
    "google",
    "lifecycle",
    "telemetry",
    "controller",
    "connection_arguments",
    "leader_election_arguments",
    "workload_identity_arguments",
    "arguments",
    "one_thread",
    "stop_signals",
];

/// The rooms of the controller, the lowest first.
const CONTROLLER_ROOMS: [&str; 13] = [
    "clock",
    "rate_limits",
    "rate_limited_warning",
    "api_server",
    "service_accounts",
    "grants",
    "objects",
    "queue",
    "watches",
    "writes",
    "leadership",
    "dispatch",
    "start_up",
];

/// The rooms of `google`, the lowest first.
const GOOGLE_ROOMS: [&str; 12] = [
    "user_agent",
    "byte_order_mark",
    "text_file",
    "universe_domain",
    "clean",
    "names",
    "catalogue",
    "answers",
    "connections",
    "identity",
    "client",
    "quota",
];

/// The rooms of the emulator, the lowest first.
const EMULATOR_ROOMS: [&str; 11] = [
    "duration_text",
    "protocol",
    "scenario",
    "record",
    "transport",
    "tokens",
    "operations",
    "config",
    "shared",
    "admin",
    "emulator",
];

/// The rooms whose modules must not import each other in a circle.
const WITHOUT_CIRCLES: [&str; 5] = ["api", "google", "lifecycle", "telemetry", "controller"];

/// A module by the names on its path, such as `controller`, `queue`, `lanes`.
type Module = Vec<String>;

/// What each module imports.
struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    /// Those of a folder with sources, relative to the root of the repository.
    fn read(source: &str) -> Self {
        let mut files = BTreeMap::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        collect(&source, &Module::new(), &mut files);
        let modules: BTreeSet<&Module> = files.keys().collect();
        let imports = files.iter().map(|(module, text)| {
            let imported = paths(text).into_iter().map(|path| absolute(module, &path));
            let imported = imported.map(|path| longest_module(&modules, &path));
            let others = imported.filter(|other| other != module).collect();
            (module.clone(), others)
        });
        Self(imports.collect())
    }

    /// Each import of a module below `parent` that goes to another of its children: from, to, and the import itself.
    fn between_children<'a>(
        &'a self,
        parent: &'a [&str],
    ) -> impl Iterator<Item = (&'a str, &'a str, String)> {
        let child = move |module: &'a Module| {
            let is_below = module.iter().zip(parent).all(|(name, of)| name == of);
            let child = module.get(parent.len()).map(String::as_str);
            child.filter(|_| is_below && module.len() > parent.len())
        };
        self.0.iter().flat_map(move |(module, imported)| {
            imported.iter().filter_map(move |other| {
                let (from, to) = (child(module)?, child(other)?);
                let import = format!("{} imports {}", module.join("::"), other.join("::"));
                (from != to).then_some((from, to, import))
            })
        })
    }

    /// The modules that are reached from this one, also over others. A module and the modules in it count as one.
    fn reached(&self, from: &Module) -> BTreeSet<&Module> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            let imported = self.0.get(module).into_iter().flatten();
            for other in imported.filter(|other| !is_in(other, module) && !is_in(module, other)) {
                if reached.insert(other) {
                    next.push(other);
                }
            }
        }
        reached
    }
}

fn is_in(inner: &Module, outer: &Module) -> bool {
    inner.starts_with(outer)
}

/// The text of each module below a folder, without comments and unit tests.
fn collect(folder: &Path, parent: &Module, files: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_test = name.ends_with("tests");
        let mut module = parent.clone();
        if path.is_dir() {
            if !is_test && name != "bin" {
                module.push(name);
                collect(&path, &module, files);
            }
            continue;
        }
        if !matches!(name.as_str(), "mod" | "lib") {
            module.push(name);
        }
        if path.extension().is_some_and(|is| is == "rs") && !is_test {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = text.lines().map(|line| line.split("//").next().unwrap());
            files.insert(module, lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The paths in a text that begin with `crate`, `self` or `super`, those of `use` trees written out.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("::") {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let start = rest[..at].rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        let (tree, first) = (&rest[start..], &rest[start..at]);
        let end = end_of_tree(tree);
        if matches!(first, "crate" | "self" | "super") {
            write_out(&tree[..end], &[], &mut paths);
        }
        rest = &tree[end..];
    }
    paths
}

/// Where a path, or a tree of paths, ends.
fn end_of_tree(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' if depth > 0 || text[..at].ends_with("::") => depth += 1,
            '}' if depth > 1 => depth -= 1,
            '}' if depth == 1 => return at + 1,
            _ if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | ':') => {}
            _ => return at,
        }
    }
    text.len()
}

fn write_out(tree: &str, before: &[String], paths: &mut Vec<Vec<String>>) {
    let Some((head, inner)) = tree.split_once('{') else {
        let names = tree.split("::").map(|name| name.trim().to_owned());
        paths.push(before.iter().cloned().chain(names).collect());
        return;
    };
    let head = head.split("::").map(|name| name.trim().to_owned());
    let head = head.filter(|name| !name.is_empty());
    let before: Vec<String> = before.iter().cloned().chain(head).collect();
    let (mut depth, mut item) = (0, String::new());
    for c in inner.chars() {
        match c {
            ',' | '}' if depth == 0 => {
                if !item.trim().is_empty() {
                    write_out(item.trim(), &before, paths);
                }
                item.clear();
                continue;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        item.push(c);
    }
}

fn absolute(module: &Module, path: &[String]) -> Module {
    let mut absolute = match path.first().map(String::as_str) {
        Some("crate") => Module::new(),
        _ => module.clone(),
    };
    for name in path {
        match name.as_str() {
            "crate" | "self" => {}
            "super" => drop(absolute.pop()),
            name => absolute.push(name.to_owned()),
        }
    }
    absolute
}

/// The module that a path leads to, or in which it names an item.
fn longest_module(modules: &BTreeSet<&Module>, path: &Module) -> Module {
    let lengths = (0..=path.len()).rev();
    let mut prefixes = lengths.map(|length| path[..length].to_vec());
    let found = prefixes.find(|prefix| modules.contains(prefix));
    found.unwrap_or_default()
}

fn wants_only_lower_rooms(imports: &Imports, parent: &[&str], rooms: &[&str]) {
    let level = |room: &str| rooms.iter().position(|of| *of == room);
    for (from, to, import) in imports.between_children(parent) {
        let (Some(from), Some(to)) = (level(from), level(to)) else {
            panic!("{import}: say in this file where both rooms stand");
        };
        assert!(to < from, "{import}, which is a higher room");
    }
}

#[test]
fn a_room_imports_only_rooms_below_it() {
    let imports = Imports::read("src");
    wants_only_lower_rooms(&imports, &[], &ROOMS);
    wants_only_lower_rooms(&imports, &["google"], &GOOGLE_ROOMS);
    wants_only_lower_rooms(&imports, &["controller"], &CONTROLLER_ROOMS);
    let all = imports.between_children(&[]).count();
    let googles = imports.between_children(&["google"]).count();
    let controllers = imports.between_children(&["controller"]).count();
    assert!(
        all > 100 && googles > 40 && controllers > 40,
        "{all} {googles} {controllers}"
    );
    let emulator = Imports::read("emulator/src");
    wants_only_lower_rooms(&emulator, &[], &EMULATOR_ROOMS);
    let all = emulator.between_children(&[]).count();
    assert!(all > 100, "{all}");
}

#[test]
fn no_modules_of_a_room_import_each_other_in_a_circle() {
    wants_no_circles("src", |room| WITHOUT_CIRCLES.contains(&room));
    wants_no_circles("emulator/src", |_| true);
    wants_no_circles("probe/src", |_| true);
}

fn wants_no_circles(source: &str, counts: impl Fn(&str) -> bool) {
    let imports = Imports::read(source);
    let modules = imports
        .0
        .keys()
        .filter(|module| module.first().is_some_and(|room| counts(room)));
    let circles: Vec<_> = modules
        .filter(|module| imports.reached(module).contains(module))
        .map(|module| module.join("::"))
        .collect();
    assert!(circles.is_empty(), "in circles in {source}: {circles:?}");
}

#[test]
fn trees_of_imports_are_written_out() {
    let text = "use crate::{a::{b, c::D}, e};\nuse super::super::f::G;\nfn x() -> crate::h::I { self::j::k() }";
    let paths: Vec<_> = paths(text).iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        [
            "crate::a::b",
            "crate::a::c::D",
            "crate::e",
            "super::super::f::G",
            "crate::h::I",
            "self::j::k"
        ]
    );
    let module = ["controller", "queue", "lanes"].map(str::to_owned).to_vec();
    let path = ["super", "fair_queue", "Owner"].map(str::to_owned);
    assert_eq!(
        absolute(&module, &path).join("::"),
        "controller::queue::fair_queue::Owner"
    );
}
