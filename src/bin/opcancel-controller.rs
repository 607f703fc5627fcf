//! `opcancel-controller`: reads arguments, starts logging, handles signals, and runs the library.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use opcancel::{
    arguments::{AdminAddress, Arguments},
    controller::{self, clock::Clock, kube_client},
    google::{
        catalogue::CLOUD_PLATFORM,
        client::{ClientConfig, OperationsClient},
        identity::{Environment, IdentityConfig, OperatorIdentity},
        tls,
        token::FetchObserver,
    },
    lifecycle::Settings,
    one_thread,
    stop_signals::stop_on_signals,
    telemetry::{
        admin,
        logs::{self, LogFormat},
        metrics::Metrics,
    },
};
use ring::rand::SystemRandom;

fn main() -> ExitCode {
    let arguments = match Arguments::parse().check() {
        Ok(arguments) => arguments,
        Err(message) => return fail(&message, 2),
    };
    if let Err(message) = logs::start(arguments.log_format, &arguments.log_level) {
        return fail(&message, 2);
    }
    // From here on, a fatal error is a log line if the format is JSON.
    let format = arguments.log_format;
    let fail = |message: &str, code| match format {
        LogFormat::Json => {
            tracing::error!("{message}");
            ExitCode::from(code)
        }
        LogFormat::Text => fail(message, code),
    };
    for warning in arguments.warnings() {
        tracing::warn!("{warning}");
    }
    tls::install_provider();
    // One thread: the work between two answers takes microseconds, and moving tasks between threads costs more than it gains.
    match one_thread::run(run(arguments)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(message)) => fail(&message, 1),
        Err(error) => fail(&format!("cannot start the runtime: {error}"), 1),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("opcancel-controller: {message}");
    ExitCode::from(code)
}

/// The id of this process in its intents. Two processes must not have the same, so the operating system provides it.
fn holder_id() -> Result<String, String> {
    let random = ring::rand::generate::<[u8; 8]>(&SystemRandom::new())
        .map_err(|_| "the operating system provides no random numbers".to_owned())?;
    Ok(format!("{:016x}", u64::from_be_bytes(random.expose())))
}

async fn run(arguments: Arguments) -> Result<(), String> {
    // First, so that no signal is lost during the start.
    let stop = stop_on_signals()?;

    let override_roots = arguments.connections.override_roots()?;
    if let Err(why) = tls::find_authorities() {
        tracing::warn!("cannot call Google APIs: {why}");
    }
    let https_proxy = arguments
        .connections
        .proxy()
        .map_err(|error| error.to_string())?;
    if let Some(proxy) = &https_proxy {
        tracing::info!(
            proxy = proxy.address(),
            "using a proxy for connections to Google"
        );
    }
    let environment = Environment::of_process();
    let scopes = arguments
        .google_scope
        .map_or_else(|| vec![CLOUD_PLATFORM.to_owned()], |scope| vec![scope]);
    let tenants = arguments
        .workload_identity
        .tenants(
            &environment,
            &scopes,
            https_proxy.as_ref(),
            &arguments.connections.universe_domain,
        )
        .map_err(|error| error.to_string())?;
    let identity = IdentityConfig {
        https_proxy: https_proxy.clone(),
        universe_domain: arguments.connections.universe_domain.clone(),
        environment,
        expect_principal: arguments.expect_principal,
        scopes,
        ..IdentityConfig::default()
    };
    let metrics = Arc::new(Metrics::default());
    let fetch_metrics = metrics.clone();
    let fetches = FetchObserver::new(move |result| fetch_metrics.token_fetched(result.name()));
    let tokens = OperatorIdentity::new(identity, fetches).map_err(|error| error.to_string())?;
    tracing::info!(source = tokens.source(), "using Google credentials");
    let google = OperationsClient::new(ClientConfig {
        quota_project: arguments
            .quota_project
            .or_else(|| tokens.quota_project().map(str::to_owned)),
        override_roots,
        https_proxy,
        ..ClientConfig::default()
    })
    .map_err(|error| error.to_string())?;
    let clock = Clock::start();
    let kubeconfig = arguments.kubeconfig.as_deref();
    let kubernetes = kube_client::client(kubeconfig, metrics.clone(), clock.clone()).await?;
    let lease_client = kube_client::client(kubeconfig, metrics.clone(), clock.clone()).await?;
    // After the API server: without one, its absence is the better message.
    let leader_election = arguments.leader_election.election()?;

    let health = controller::health();
    let config = controller::Config {
        settings: Settings {
            observe_budget: arguments.observe_budget,
            min_poll: arguments.min_poll,
            max_poll: arguments.max_poll,
            not_found_after: arguments.not_found_after,
            service_accounts: tenants.is_some(),
        },
        namespaces: arguments.watch_namespace,
        workers: arguments.workers,
        namespace_calls_per_minute: arguments.namespace_calls_per_minute.into(),
        overrides: arguments.connections.endpoints(),
        cluster: arguments.cluster_name,
        holder: holder_id()?,
        // The hostname of a pod is the pod's name.
        instance: std::env::var("HOSTNAME").unwrap_or_else(|_| "opcancel-controller".to_owned()),
        leader_election,
    };
    let parts = controller::Parts {
        kubernetes,
        lease_client,
        google,
        tokens: Arc::new(tokens),
        tenants,
        health: health.clone(),
        metrics: metrics.clone(),
        clock,
    };
    let controller = controller::run(config, parts, stop.clone());
    match arguments.admin_address {
        AdminAddress::Off => controller.await,
        AdminAddress::At(address) => {
            let listener = admin::bind(address).await?;
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "serving /livez, /readyz and /metrics");
            }
            tokio::select! {
                result = controller => result,
                // It serves until the process ends: a controller that is stopping must not look dead.
                () = admin::serve(listener, health, metrics, std::future::pending()) => {
                    Err("the admin server stopped".to_owned())
                }
            }
        }
    }
}
