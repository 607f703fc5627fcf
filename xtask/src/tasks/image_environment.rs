//! The environment variables that the container image sets, as its recipe has them: for whatever runs the controller as the
//! image would.

use std::fs;

use anyhow::{Context, Result};

use super::cargo;

/// Name and value of each `ENV` line of `Containerfile`.
pub(super) fn read() -> Result<Vec<(String, String)>> {
    let path = cargo::root().join("Containerfile");
    let recipe = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    variables(&recipe)
}

fn variables(recipe: &str) -> Result<Vec<(String, String)>> {
    let lines = recipe
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ENV "));
    let variable = |line: &str| {
        let (name, value) = line
            .split_once('=')
            .filter(|(_, value)| !value.contains([' ', '"', '$', '\\']))
            .with_context(|| {
                format!("Containerfile: ENV {line}: expected one NAME=VALUE, without quotes")
            })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    lines.map(variable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_one_variable() {
        let recipe = "FROM scratch\n# ENV C=no\nENV A=1:b=2\nUSER 1\nENV B=\n";
        let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(variables(recipe).unwrap(), [of("A", "1:b=2"), of("B", "")]);
        for wrong in ["ENV A", "ENV A=1 B=2", "ENV A=\"1\"", "ENV A=$B"] {
            assert!(variables(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_recipe_can_be_read() {
        let read = read().unwrap();
        assert!(
            read.iter().any(|(name, _)| name == "GLIBC_TUNABLES"),
            "{read:?}"
        );
    }
}
