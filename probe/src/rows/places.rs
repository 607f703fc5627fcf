//! GETs of paths, hosts and locations that do not belong together.

use super::{BAD_OR_NOT_FOUND, Builder, Rows, parent};
use crate::{
    expectation::{Expectation, ExpectedAnswer},
    step::{Read, Resource, Row, Step},
};

const HTML: Expectation = &[ExpectedAnswer::Html(404)];

/// A location that Google does not have.
const UNKNOWN_LOCATION: &str = "opcancel-nowhere1";

const NEEDS_LOCATION: &str =
    "needs --location LOCATION, with an endpoint other than that of names without a location";

const NO_LOCATION: &str = "names of this service have no location";

/// GETs that go to the host of another location.
struct AtOtherHost {
    regional_at_global: Read,
    global_at_regional: Read,
}

impl Builder<'_> {
    pub(super) fn places(&self) -> Rows {
        let (regional_at_global, global_at_regional) = match self.at_other_host()? {
            Some(reads) => (
                Ok(Step::Read(reads.regional_at_global)),
                Ok(Step::Read(reads.global_at_regional)),
            ),
            None => (Err(NEEDS_LOCATION), Err(NEEDS_LOCATION)),
        };
        Ok(vec![
            Row {
                id: "unknown-path".to_owned(),
                title: "a path that the API does not have",
                expected: HTML,
                step: Ok(Step::Read(self.of_unknown_path()?)),
            },
            Row {
                id: "unknown-location".to_owned(),
                title: "a location that does not exist",
                expected: BAD_OR_NOT_FOUND,
                step: self
                    .in_unknown_location()?
                    .map(Step::Read)
                    .ok_or(NO_LOCATION),
            },
            Row {
                id: "regional-at-global-host".to_owned(),
                title: "a name with a location at the global host",
                expected: BAD_OR_NOT_FOUND,
                step: regional_at_global,
            },
            Row {
                id: "global-at-regional-host".to_owned(),
                title: "a name without a location at a regional host",
                expected: BAD_OR_NOT_FOUND,
                step: global_at_regional,
            },
        ])
    }

    fn of_unknown_path(&self) -> Result<Read, String> {
        let path = format!(
            "/{}{}/opcancelProbe/{}",
            self.arguments.version_row()?.prefix,
            parent(&self.arguments.project, None),
            self.missing.name().last_segment()
        );
        Ok(Read {
            resource: Resource::UnknownPath(path),
            ..self.get(self.missing.name())?
        })
    }

    /// At the host of names without a location, if the service has such names. `None` if none of its plain names has a location.
    fn in_unknown_location(&self) -> Result<Option<Read>, String> {
        let operation = self.missing.name().last_segment();
        let Some((unknown, target)) = self.plain_name(Some(UNKNOWN_LOCATION), operation)? else {
            return Ok(None);
        };
        let global = self.plain_name(None, operation)?;
        Ok(Some(Read {
            target: global.map_or(target, |(_, target)| target),
            ..self.get(&unknown)?
        }))
    }

    /// `None` if names with and without a location go to the same host.
    fn at_other_host(&self) -> Result<Option<AtOtherHost>, String> {
        let Some(location) = self.arguments.location.as_deref() else {
            return Ok(None);
        };
        let operation = self.missing.name().last_segment();
        let both = (
            self.plain_name(None, operation)?,
            self.plain_name(Some(location), operation)?,
        );
        let (Some((global, global_host)), Some((regional, regional_host))) = both else {
            return Ok(None);
        };
        if global_host.endpoint == regional_host.endpoint {
            return Ok(None);
        }
        Ok(Some(AtOtherHost {
            regional_at_global: Read {
                target: global_host,
                ..self.get(&regional)?
            },
            global_at_regional: Read {
                target: regional_host,
                ..self.get(&global)?
            },
        }))
    }
}
