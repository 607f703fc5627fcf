//! Names of operations that cannot exist.

use ring::rand::{SecureRandom, SystemRandom};

use opcancel::google::{catalogue::Version, operation_name::OperationName};

/// The name of an operation that does not exist: its last segment is 128 bits from the system's random source. A collision
/// is less likely than an undetected disk error. What stands above the operation, such as an instance, does not exist either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomName(OperationName);

impl RandomName {
    /// Draws one in the shortest form of the version that has a project, and a location exactly if there is one here. If no form has
    /// a project, it draws one without.
    ///
    /// # Errors
    /// If the version has no such form, the system has no randomness, or the project or location is invalid.
    pub fn draw(version: &Version, project: &str, location: Option<&str>) -> Result<Self, String> {
        let forms = || version.patterns.iter().map(|pattern| pattern.segments);
        let in_project = forms().any(|form| form.starts_with("projects/"));
        let fits = |form: &&str| {
            !in_project
                || form.starts_with("projects/") && takes_location(form) == location.is_some()
        };
        let form = forms()
            .filter(fits)
            .min_by_key(|form| form.split('/').count());
        let form = form.ok_or_else(|| {
            match location {
                Some(_) => "names of this service have no location; leave out --location",
                None => "names of this service have a location; set --location",
            }
            .to_owned()
        })?;
        Self::of_form(form, project, location)
    }

    /// Draws one in the shortest form without a parent, which belongs to no project; `None` if the version has none, or no other.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn draw_without_parent(version: &Version) -> Result<Option<Self>, String> {
        if version.patterns.iter().all(|pattern| pattern.parent == 0) {
            return Ok(None);
        }
        let without = version
            .patterns
            .iter()
            .filter(|pattern| pattern.parent == 0);
        let shortest = without.min_by_key(|pattern| pattern.segments.split('/').count());
        shortest
            .map(|pattern| Self::of_form(pattern.segments, "", None))
            .transpose()
    }

    fn of_form(form: &str, project: &str, location: Option<&str>) -> Result<Self, String> {
        let id = uuid()?;
        let mut collection = "";
        let mut segments = Vec::new();
        let last = form.split('/').count();
        for (number, segment) in form.split('/').enumerate() {
            segments.push(match (segment, collection) {
                ("*", "projects") => project.to_owned(),
                ("*", "locations" | "regions" | "zones") => location.unwrap_or("global").to_owned(),
                ("*" | "**", _) if number + 1 == last => id.clone(),
                // Some ids must begin with a letter.
                ("*", _) => format!("opcancel-{id}"),
                (word, _) => word.to_owned(),
            });
            collection = segment;
        }
        OperationName::parse(&segments.join("/"))
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// The name.
    pub fn name(&self) -> &OperationName {
        &self.0
    }
}

/// Whether names of this form have a location that the caller chooses.
fn takes_location(form: &str) -> bool {
    ["locations/*", "regions/*", "zones/*"]
        .iter()
        .any(|pair| form.contains(pair))
}

/// 128 random bits in the form of a UUID (version 4 says so in six of them; here all are random).
///
/// # Errors
/// If the system has no randomness.
pub fn uuid() -> Result<String, String> {
    let mut bits = [0; 16];
    SystemRandom::new()
        .fill(&mut bits)
        .map_err(|_| "this system has no source of randomness".to_owned())?;
    let digits = format!("{:032x}", u128::from_be_bytes(bits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&place) {
            text.push('-');
        }
        text.push(digit);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_looks_like_the_real_ones() {
        let version = version("dialogflow", "v2");
        let [one, two] = [0, 1].map(|_| RandomName::draw(version, "p", Some("eu")).unwrap());
        assert_ne!(one, two);
        let id = one.name().last_segment();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(one.name().location(), Some("eu"));
        assert!(RandomName::draw(version, "P", None).is_err());
    }

    fn version(service: &str, version: &str) -> &'static Version {
        let service = opcancel::google::catalogue::service(service).unwrap();
        service.version(version).unwrap()
    }

    /// Its name without what is random.
    fn form(name: &RandomName) -> String {
        let id = name.name().last_segment();
        name.name().as_str().replace(id, "ID")
    }

    #[test]
    fn it_has_a_form_of_the_service() {
        for (service, of, location, drawn) in [
            ("dialogflow", "v2", None, "projects/p/operations/ID"),
            (
                "container",
                "v1",
                Some("eu"),
                "projects/p/locations/eu/operations/ID",
            ),
            ("sqladmin", "v1", None, "projects/p/operations/ID"),
            (
                "spanner",
                "v1",
                None,
                "projects/p/instanceConfigs/opcancel-ID/operations/ID",
            ),
            (
                "storage",
                "v1",
                None,
                "projects/_/buckets/opcancel-ID/operations/ID",
            ),
            ("cloudshell", "v1", None, "operations/ID"),
        ] {
            let name = RandomName::draw(version(service, of), "p", location).unwrap();
            assert_eq!(form(&name), drawn, "{service}");
        }
        let needs = |service, location| {
            RandomName::draw(version(service, "v1"), "p", location).unwrap_err()
        };
        assert!(needs("container", None).contains("set --location"));
        assert!(needs("spanner", Some("eu")).contains("leave out --location"));
    }

    #[test]
    fn some_services_have_names_that_belong_to_no_project() {
        let without = |service| RandomName::draw_without_parent(version(service, "v1")).unwrap();
        assert_eq!(form(&without("aiplatform").unwrap()), "operations/ID");
        for service in ["spanner", "cloudshell"] {
            assert_eq!(without(service), None, "{service}");
        }
    }
}
