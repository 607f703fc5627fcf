//! Every service is rows of data: no code depends on the name of one.

use std::{fs, path::Path};

use opcancel::google::catalogue;

/// A service whose name is also a key of credential files.
const FILE: &str = "file";

#[test]
fn no_code_has_the_name_of_a_service() {
    let mut found = Vec::new();
    let mut files = vec![super::root().join("src")];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if is_code(&path) {
            read += 1;
            found.extend(names_in(&path));
        }
    }
    assert!(read > 100, "{read} files");
    assert_eq!(found, Vec::<String>::new());
}

fn is_code(path: &Path) -> bool {
    let name = path.to_str().unwrap();
    name.ends_with(".rs") && !name.ends_with("tests.rs") && !name.contains("/tests/")
}

/// The string literals outside of unit tests that are the name of a service.
fn names_in(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let names = catalogue::service_names().filter(|name| *name != FILE);
    let literals = names.filter(|name| code.contains(&format!("\"{name}\"")));
    literals
        .map(|name| format!("{}: {name}", path.display()))
        .collect()
}
