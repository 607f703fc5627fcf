//! A container's command line, as a process of this machine gets it. Pure but for the ConfigMaps and
//! Secrets that variables come from.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::api::{Api, PodName};
use super::volumes::Mounts;

/// The arguments and variables of a container's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) arguments: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
}

/// Makes the command line of a container of the Pod whose address is `ip`. `defaults` are variables
/// that it gets unless it sets them.
///
/// # Errors
/// When it has a command of its own instead of its image's, or a variable's source is not there.
pub(super) fn command_line(
    api: &Api,
    pod: &Pod,
    container: &Container,
    mounts: &Mounts,
    ip: &str,
    defaults: &[(String, String)],
) -> Result<CommandLine> {
    if container
        .command
        .as_ref()
        .is_some_and(|command| !command.is_empty())
    {
        bail!(
            "a container with its own command is not supported: only the program of the image can run"
        );
    }
    let mut variables: BTreeMap<String, String> = defaults.iter().cloned().collect();
    let name = pod.metadata.name.clone().unwrap_or_default();
    variables.insert("HOSTNAME".to_owned(), name);
    if let Some(kubeconfig) = &mounts.kubeconfig {
        variables.insert("KUBECONFIG".to_owned(), kubeconfig.clone());
    }
    for variable in container.env.iter().flatten() {
        let value =
            value(api, pod, variable, ip).with_context(|| format!("variable {}", variable.name))?;
        if let Some(value) = value {
            let value = expand(&value, &variables);
            variables.insert(variable.name.clone(), value);
        }
    }
    let arguments = container.args.iter().flatten();
    let arguments: Vec<String> = arguments.map(|text| expand(text, &variables)).collect();
    let local = |text: &str| at_address(&mounts.replace(text), ip);
    Ok(CommandLine {
        arguments: arguments.iter().map(|text| local(text)).collect(),
        variables: variables
            .into_iter()
            .map(|(name, text)| (name, local(&text)))
            .collect(),
    })
}

/// A variable's value; `None` if its source is optional and not there.
fn value(api: &Api, pod: &Pod, variable: &EnvVar, ip: &str) -> Result<Option<String>> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(variable.value.clone().unwrap_or_default()));
    };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(field) = &source.field_ref {
        let spec = pod.spec.as_ref();
        return Ok(match field.field_path.as_str() {
            "metadata.name" => pod.metadata.name.clone(),
            "metadata.namespace" => pod.metadata.namespace.clone(),
            "metadata.uid" => pod.metadata.uid.clone(),
            "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
            "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
            "status.podIP" => Some(ip.to_owned()),
            other => bail!("the stand-in for a node does not support the field {other}"),
        });
    }
    if let Some(key) = &source.config_map_key_ref {
        let map = match api.config_map(namespace, &key.name) {
            Err(_) if key.optional == Some(true) => return Ok(None),
            map => map?,
        };
        let found = map.data.and_then(|mut data| data.remove(&key.key));
        return optional(found, key.optional, &key.name, &key.key);
    }
    if let Some(key) = &source.secret_key_ref {
        let secret = match api.secret(namespace, &key.name) {
            Err(_) if key.optional == Some(true) => return Ok(None),
            secret => secret?,
        };
        let found = secret.data.and_then(|mut data| data.remove(&key.key));
        let found = found.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
        return optional(found, key.optional, &key.name, &key.key);
    }
    bail!("the stand-in for a node does not support its source")
}

fn optional(
    found: Option<String>,
    optional: Option<bool>,
    name: &str,
    key: &str,
) -> Result<Option<String>> {
    match found {
        None if optional != Some(true) => bail!("{name} has no key {key}"),
        found => Ok(found),
    }
}

/// `$(NAME)` is the variable's value, as in a Pod; an unknown one stays as it is.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in variables {
        text = text.replace(&format!("$({name})"), value);
    }
    text
}

/// Every address of the machine becomes the Pod's own: nothing listens beyond loopback.
fn at_address(text: &str, ip: &str) -> String {
    text.replace("0.0.0.0:", &format!("{ip}:"))
        .replace("[::]:", &format!("{ip}:"))
}

/// The port and path that an HTTP probe asks.
pub(super) fn http_probe(container: &Container, probe: Option<&Probe>) -> Option<(u16, String)> {
    let get = probe?.http_get.as_ref()?;
    let port = match &get.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports
                .find(|port| port.name.as_ref() == Some(name))?
                .container_port
        }
    };
    Some((
        u16::try_from(port).ok()?,
        get.path.clone().unwrap_or_else(|| "/".to_owned()),
    ))
}

/// Whether a Pod may run on a node with these labels, as far as its node selector says.
pub(super) fn selects(pod: &Pod, labels: &BTreeMap<&str, &str>) -> bool {
    let selector = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_selector.as_ref());
    selector
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key.as_str()) == Some(&value.as_str()))
}

/// The image's name without registry, tag and digest.
pub(super) fn image_name(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

/// The Pod, for messages.
pub(super) fn pod_text(id: &PodName) -> String {
    format!("pod {}/{}", id.namespace, id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_last_name() {
        for image in [
            "a",
            "a:1",
            "r.example:5000/x/a:1",
            "r/a@sha256:0",
            "r/a:1@sha256:0",
        ] {
            assert_eq!(image_name(image), "a", "{image}");
        }
    }

    #[test]
    fn variables_are_expanded_and_addresses_are_the_pods() {
        let variables = BTreeMap::from([("PORT".to_owned(), "80".to_owned())]);
        assert_eq!(
            expand("0.0.0.0:$(PORT) $(NONE)", &variables),
            "0.0.0.0:80 $(NONE)"
        );
        assert_eq!(
            at_address("--a=0.0.0.0:80 [::]:90", "127.1.2.3"),
            "--a=127.1.2.3:80 127.1.2.3:90"
        );
    }
}
