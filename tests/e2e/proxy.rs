//! The controller behind a real proxy, proxy.py of PyPI: what passes through it, and what its failures look like.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use operations_emulator::{Config, Scenario, Script};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use xtask::official_clients;

use crate::{
    federation::{
        believing_the_cluster,
        credential_files::{EMAIL, Files, PROVIDER, impersonating},
        projected_token,
    },
    support::{
        cluster::{cluster, json_of, root},
        controller_process::ControllerProcess,
        world::{PATIENCE, World, operation},
    },
};

const DIALOGFLOW: [&str; 2] = [
    "dialogflow.googleapis.com:443",
    "europe-west1-dialogflow.googleapis.com:443",
];
const TOKEN_SERVICES: [&str; 2] = [
    "sts.googleapis.com:443",
    "iamcredentials.googleapis.com:443",
];

/// A proxy in a process group of its own, and what it logs.
struct Proxy {
    child: Child,
    address: String,
    reader: Option<JoinHandle<String>>,
}

impl Proxy {
    /// Starts it. The emulator is behind Google's names.
    fn start(world: &World, port: u16, flags: &[&str]) -> Self {
        let address = |url: &str| url.trim_start_matches("https://").to_owned();
        let operations = address(world.emulator.url());
        let tokens = address(world.emulator.credentials_url());
        let hosts: BTreeMap<_, _> = DIALOGFLOW
            .map(|host| (host, &operations))
            .into_iter()
            .chain(TOKEN_SERVICES.map(|host| (host, &tokens)))
            .collect();
        let folder = root().join("tests/proxy");
        let python = official_clients::python(&folder).expect("proxy.py");
        let place = TempDir::new().unwrap();
        let port_file = place.path().join("port");
        let mut child = Command::new(python)
            // No byte code beside the sources.
            .args(["-B", "-m", "proxy", "--hostname=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--port-file={}", port_file.display()))
            .args(["--num-workers=1", "--num-acceptors=1", "--log-level=INFO"])
            .args(["--timeout=600", "--plugins=test_hosts.TestHosts"])
            .args(flags)
            .env("PYTHONPATH", folder)
            .env("PYTHONUNBUFFERED", "1")
            .env("TEST_HOSTS", serde_json::to_string(&hosts).unwrap())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let mut proxy = Self {
            child,
            address: String::new(),
            reader: Some(reader),
        };
        let begun = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&port_file).unwrap_or_default();
            if let Ok(port) = text.trim().parse::<u16>() {
                break port;
            }
            assert!(begun.elapsed() < PATIENCE, "the proxy does not listen");
            // A file announces nothing.
            std::thread::sleep(Duration::from_millis(20));
        };
        proxy.address = format!("127.0.0.1:{port}");
        proxy
    }

    fn port(&self) -> u16 {
        let address: SocketAddr = self.address.parse().unwrap();
        address.port()
    }

    /// Stops it, and returns its log.
    fn stop(mut self) -> String {
        self.end();
        self.reader.take().unwrap().join().unwrap()
    }

    fn end(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-INT", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.reader.is_some() {
            self.end();
        }
        if let Some(log) = self.reader.take().and_then(|reader| reader.join().ok())
            && std::thread::panicking()
        {
            eprintln!("---- the proxy's log:\n{log}");
        }
    }
}

/// What the proxy was asked for: the method, and the host and port.
fn requests(log: &str) -> BTreeSet<(String, String)> {
    let of_line = |line: &str| {
        let (_, asked) = line.split_once(" asked: ")?;
        let (method, host) = asked.split_once(' ')?;
        Some((method.to_owned(), host.to_owned()))
    };
    log.lines().filter_map(of_line).collect()
}

fn over_tls(scenario: Scenario) -> Config {
    Config {
        tls: true,
        ..Config::from(scenario)
    }
}

/// A file with this text.
fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn only_connections_to_google_pass_through_the_proxy() {
    let (files, folder) = (Files::new(), TempDir::new().unwrap());
    cluster();
    let scenario = Scenario {
        credentials: believing_the_cluster(),
        ..Scenario::default()
    };
    let scenario = scenario
        .with_operation(operation("op"), Script::default())
        .with_operation(operation("later"), Script::default());
    let mut world = World::stopped("proxy", over_tls(scenario), &[], &[]);
    files.write_credentials(&impersonating(
        "https://sts.googleapis.com",
        &files.subject_token(),
    ));
    let text = fs::read_to_string(files.credentials()).unwrap();
    let text = text.replace(
        "https://sts.googleapis.com/v1/projects",
        "https://iamcredentials.googleapis.com/v1/projects",
    );
    fs::write(files.credentials(), text).unwrap();
    files.write_subject_token(&projected_token(&format!("https:{PROVIDER}")));
    let authority = file(&folder, "ca.pem", world.emulator.authority_pem().unwrap());
    let password = "throw-away-of-the-test";
    let credentials = file(&folder, "credentials", "opcancel:not-the-one\n");
    world.grant();

    let proxy = Proxy::start(&world, 0, &[&format!("--basic-auth=opcancel:{password}")]);
    let port = proxy.port();
    world.use_proxy(&format!("http://{}", proxy.address));
    let command = || {
        let mut command = world.controller_command();
        command
            .env("SSL_CERT_FILE", &authority)
            .env("GOOGLE_APPLICATION_CREDENTIALS", files.credentials())
            .env("OPCANCEL_EXPECT_PRINCIPAL", EMAIL)
            .env("RUST_LOG", "trace,opcancel=trace")
            // Neither one may be used.
            .env("HTTPS_PROXY", "http://127.0.0.1:1")
            .env("HTTP_PROXY", "http://127.0.0.1:1");
        command
    };
    let not_ready = |controller: &mut ControllerProcess, what: &str| {
        controller.wait_until_serving();
        controller.wait_for_log(|log| log.contains(what));
        let (status, why) = controller.admin("/readyz");
        let proxy = format!("the proxy 127.0.0.1:{port} {what}");
        assert!(
            status == 503 && why.contains("sts.googleapis.com") && why.contains(&proxy),
            "{status} {why}"
        );
    };
    let mut controller = ControllerProcess::spawn(command());
    not_ready(&mut controller, "requires a user and a password");
    drop(controller);
    let mut with_credentials = command();
    with_credentials
        .arg("--https-proxy-credentials-file")
        .arg(&credentials);
    let mut controller = ControllerProcess::spawn(with_credentials);
    not_ready(&mut controller, "refused the user and password");
    // As a rotated Secret: no restart is needed.
    fs::write(&credentials, format!("opcancel:{password}\n")).unwrap();
    controller.wait_until_ready();
    world.controller = Some(controller);
    world.cancel("op", &[]);
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    assert_eq!(world.posts("op"), 1);
    let principal = world.object("op");
    assert_eq!(principal.text("/status/identity/principal"), EMAIL);

    // The proxy goes away, and comes back.
    let before = proxy.stop();
    world.cancel("later", &[]);
    world.wait(&["later"], "jsonpath={.status.lastError.call}");
    let error = world.object("later");
    let message = error.text("/status/lastError/message");
    let wrong = format!("the proxy 127.0.0.1:{port} cannot be reached: connection refused");
    assert!(message.contains(&wrong), "{message}");
    assert_eq!(world.posts("later"), 0);
    let proxy = Proxy::start(
        &world,
        port,
        &[&format!("--basic-auth=opcancel:{password}")],
    );
    assert_eq!(world.finished("later").outcome(), "Cancelled");
    assert_eq!(world.posts("later"), 1);

    let (_, metrics) = world.controller().admin("/metrics");
    let log = world.controller().log();
    world.controller().terminate();
    world.controller().wait();
    let after = proxy.stop();
    let all: BTreeSet<_> = DIALOGFLOW
        .into_iter()
        .chain(TOKEN_SERVICES)
        .map(|host| ("CONNECT".to_owned(), host.to_owned()))
        .collect();
    assert_eq!(requests(&before), all, "{before}");
    assert!(requests(&after).is_subset(&all), "{after}");
    assert!(!before.contains("Bearer") && !after.contains("Bearer"));
    assert!(!requests(&after).is_empty(), "{after}");
    for (place, text) in [
        ("log", &log),
        ("metrics", &metrics),
        ("object", &error.0.to_string()),
    ] {
        assert!(!text.contains(password), "the password is in the {place}");
        // The base64 of both.
        assert!(
            !text.contains("b3BjYW5jZWw6dGhyb3ctYXdheS"),
            "the password is in the {place}"
        );
    }
}

/// The authority of a company, and what its proxy has of it.
struct Company {
    authority: PathBuf,
    authority_key: PathBuf,
    /// For the proxy itself, and for what it shows in Google's place.
    certificate: PathBuf,
    key: PathBuf,
}

fn company(folder: &TempDir) -> Company {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "*.googleapis.com"].map(str::to_owned);
    let mut params = CertificateParams::new(names).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "the proxy");
    let certificate = params.signed_by(&key, &authority).unwrap();
    Company {
        authority: file(folder, "company.pem", &authority.pem()),
        authority_key: file(folder, "company-key.pem", &authority.key().serialize_pem()),
        certificate: file(folder, "certificate.pem", &certificate.pem()),
        key: file(folder, "key.pem", &key.serialize_pem()),
    }
}

/// This world's controller, which trusts this file alone.
fn controller(world: &World, authority: &Path) -> ControllerProcess {
    let mut command = world.controller_command();
    command.env("SSL_CERT_FILE", authority);
    let mut controller = ControllerProcess::spawn(command);
    controller.wait_until_serving();
    controller
}

#[test]
fn the_proxy_itself_may_speak_tls() {
    let folder = TempDir::new().unwrap();
    let scenario = Scenario::default().with_operation(operation("op"), Script::default());
    let mut world = World::stopped("proxy-tls", over_tls(scenario), &[], &[]);
    world.grant();
    let emulators = world.emulator.authority_pem().unwrap().to_owned();
    let authority = file(&folder, "ca.pem", &emulators);
    let company = company(&folder);
    let flags = [
        ("--cert-file", &company.certificate),
        ("--key-file", &company.key),
    ]
    .map(|(flag, path)| format!("{flag}={}", path.display()));
    let proxy = Proxy::start(&world, 0, &flags.each_ref().map(String::as_str));
    world.use_proxy(&format!("https://{}", proxy.address));
    let unknown = format!(
        "the proxy {} cannot be reached: TLS: its certificate is from an unknown authority; name the authority with SSL_CERT_FILE",
        proxy.address
    );
    controller(&world, &authority).wait_for_log(|log| log.contains(&unknown));
    let both = fs::read_to_string(&company.authority).unwrap() + &emulators;
    let both = file(&folder, "both.pem", &both);
    let mut trusting = controller(&world, &both);
    trusting.wait_until_ready();
    world.cancel("op", &[]);
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    assert_eq!(world.posts("op"), 1);
    let asked = requests(&proxy.stop());
    let hosts = DIALOGFLOW.map(|host| ("CONNECT".to_owned(), host.to_owned()));
    assert_eq!(asked, hosts.into());
}

#[test]
fn a_proxy_that_inspects_tls_needs_its_authority_in_ssl_cert_file() {
    let folder = TempDir::new().unwrap();
    let scenario = Scenario::default().with_operation(operation("op"), Script::default());
    let mut world = World::stopped("inspected", over_tls(scenario), &[], &[]);
    world.grant();
    let authority = file(&folder, "ca.pem", world.emulator.authority_pem().unwrap());
    let company = company(&folder);
    let made = folder.path().join("made");
    fs::create_dir(&made).unwrap();
    for host in DIALOGFLOW.map(|host| host.trim_end_matches(":443")) {
        // Without it the proxy would need the program openssl.
        fs::copy(&company.certificate, made.join(format!("{host}.pem"))).unwrap();
    }
    let flags = [
        ("--ca-file", &authority),
        ("--ca-cert-file", &company.authority),
        ("--ca-key-file", &company.authority_key),
        ("--ca-signing-key-file", &company.key),
        ("--ca-cert-dir", &made),
    ]
    .map(|(flag, path)| format!("{flag}={}", path.display()));
    let proxy = Proxy::start(&world, 0, &flags.each_ref().map(String::as_str));
    world.use_proxy(&format!("http://{}", proxy.address));
    let refusing = controller(&world, &authority);
    let unknown = "the certificate is from an unknown authority. If the proxy inspects TLS, name its authority with SSL_CERT_FILE";
    let proxys = format!("the proxy {} ", proxy.address);
    refusing.wait_for_log(|log| {
        let mut lines = log
            .lines()
            .filter(|line| line.contains("no connection to the host of a service"));
        lines.any(|line| line.contains(unknown) && line.contains(&proxys))
    });
    world.cancel("op", &[]);
    world.wait(&["op"], "jsonpath={.status.lastError.call}");
    let error = json_of(&world.object("op").0["status"]["lastError"].to_string());
    assert!(
        error["message"].as_str().unwrap().contains(unknown),
        "{error}"
    );
    assert!(world.emulator.requests().is_empty());
    drop(refusing);

    let mut trusting = controller(&world, &company.authority);
    trusting.wait_until_ready();
    world.controller = Some(trusting);
    assert_eq!(world.finished("op").outcome(), "Cancelled");
    assert_eq!(world.posts("op"), 1);
    world.controller().terminate();
    world.controller().wait();
    // As the page says, such a proxy sees each request and its token.
    let log = proxy.stop();
    let tokens = world.emulator.tokens_issued();
    let mut tokens = tokens.iter().map(|token| token.secret());
    assert!(
        tokens.any(|token| log.contains(&format!(":cancel Bearer {token}"))),
        "{log}"
    );
}
