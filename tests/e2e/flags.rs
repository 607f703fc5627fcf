//! The command line: an error says what would be right, and `--help` documents every flag.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use clap::CommandFactory;
use opcancel::arguments::Arguments;

use crate::{
    startup::shows_no_internals,
    support::{cluster::cluster, controller_process},
};

/// What it says on standard error, and on standard output.
fn refused_on(arguments: &[&str]) -> (String, String) {
    let begun = Instant::now();
    let output = controller_process::command()
        .args(arguments)
        .output()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let [errors, lines] =
        [output.stderr, output.stdout].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(
        !output.status.success() && output.status.code().is_some(),
        "{arguments:?}: {:?} {errors}{lines}",
        output.status
    );
    shows_no_internals(&errors);
    shows_no_internals(&lines);
    (errors, lines)
}

fn refused(arguments: &[&str]) -> String {
    let (said, lines) = refused_on(arguments);
    assert_eq!(lines, "", "{arguments:?}");
    said
}

#[test]
fn where_lines_are_json_what_ends_the_process_is_one_too() {
    let (errors, said) = refused_on(&["--log-format=json", "--ca-file=/nonexistent/ca.pem"]);
    assert_eq!(
        errors, "",
        "what stands there is an ERROR for Cloud Logging, whatever it is"
    );
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["severity"], "ERROR");
    let message = last["message"].as_str().unwrap();
    assert!(message.contains("--ca-file /nonexistent/ca.pem"), "{said}");
}

#[test]
fn a_wrong_flag_is_told_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        path.display().to_string()
    };
    let (no_pem, no_yaml) = (
        file("no.pem", "not a certificate"),
        file("no.yaml", ": : :"),
    );
    for (arguments, said) in [
        (&["--no-such-flag"][..], &["--no-such-flag"][..]),
        (&["--workers=0"], &["--workers", "1 to 1024"]),
        (
            &["--observe-budget=soon"],
            &["--observe-budget", "30s or 5m"],
        ),
        (&["--min-poll=2m"], &["--min-poll", "--max-poll"]),
        (
            &["--endpoint-override=dialogflow=http://example.com"],
            &["--endpoint-override", "https"],
        ),
        (
            &["--endpoint-override=gke=https://example.com"],
            &["--endpoint-override", "dialogflow"],
        ),
        (
            &["--endpoint-override=nonsense"],
            &["--endpoint-override", "SERVICE"],
        ),
        (
            &["--watch-namespace=Team_A"],
            &["--watch-namespace", "namespace"],
        ),
        (&["--admin-address=8080"], &["--admin-address", "IP:PORT"]),
        (&["--log-level=loud=="], &["--log-level", "info"]),
        (
            &["--ca-file=/nonexistent/ca.pem"],
            &["--ca-file", "/nonexistent/ca.pem", "No such file"],
        ),
        (&["--ca-file", &no_pem], &["certificate"]),
        (
            &["--https-proxy=http://user:password@proxy.example:3128"],
            &["--https-proxy", "--https-proxy-credentials-file"],
        ),
        (
            &[
                "--https-proxy=http://proxy.example:3128",
                "--https-proxy-credentials-file=/nonexistent/credentials",
            ],
            &[
                "--https-proxy-credentials-file /nonexistent/credentials",
                "No such file",
            ],
        ),
        (
            &["--kubeconfig=/nonexistent/config"],
            &["--kubeconfig", "/nonexistent/config"],
        ),
        (&["--kubeconfig", &no_yaml], &["--kubeconfig", &no_yaml]),
        (&[], &["--kubeconfig", "KUBECONFIG", "pod"]),
    ] {
        let text = refused(arguments);
        assert!(
            said.iter().all(|part| text.contains(part)),
            "{arguments:?}: {text}"
        );
        assert!(text.lines().count() < 12, "{text}");
    }
}

#[test]
fn help_documents_every_flag_with_its_variable() {
    let output = controller_process::command()
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    let flags = Arguments::command();
    let flags: Vec<_> = flags
        .get_arguments()
        .filter_map(|argument| Some((argument.get_long()?, argument.get_help())))
        .collect();
    assert!(flags.len() > 13, "{flags:?}");
    for (flag, text) in flags {
        assert!(help.contains(&format!("--{flag}")), "{help}");
        assert!(
            text.is_some_and(|text| !text.to_string().is_empty()),
            "{flag}"
        );
        let variable = format!("OPCANCEL_{}", flag.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable} is not in {help}");
    }
}

#[test]
fn an_admin_address_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--admin-address={}", taken.local_addr().unwrap());
    let said = refused(&[
        "--kubeconfig",
        &cluster().controller_kubeconfig.display().to_string(),
        &address,
    ]);
    assert!(
        said.contains("--admin-address") && said.contains("use another"),
        "{said}"
    );
}
