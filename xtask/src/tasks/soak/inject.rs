//! Injects the faults.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::sleep;
use xtask::control_plane::{ControlPlane, End};

use super::controller::Controller;
use super::environment::{Environment, LATENCY};
use super::fault::Fault;
use super::tenant::Tenant;
use crate::tasks::tcp_proxy::{Proxy, Way};

/// What a fault needs of the environment.
#[derive(Clone)]
pub(super) struct Victims {
    control_plane: Arc<ControlPlane>,
    controllers: Vec<Arc<Controller>>,
    tenant: Tenant,
    /// The API server is restarted by one fault at a time: each waits for an end that another one's new start would hide.
    restarts: Arc<Mutex<()>>,
}

impl Victims {
    pub(super) fn of(environment: &Environment) -> Self {
        Self {
            control_plane: Arc::clone(&environment.control_plane),
            controllers: environment.controllers.clone(),
            tenant: environment.tenant.clone(),
            restarts: Arc::default(),
        }
    }

    /// Injects a fault for so long; all is as before when it returns.
    pub(super) async fn inject(
        &self,
        fault: Fault,
        controller: usize,
        lasts: Duration,
        pick: u64,
    ) -> Result<()> {
        let controller = self
            .controllers
            .get(controller)
            .context("no such controller")?;
        match fault {
            Fault::ControllerKilled => restart(controller, "KILL", lasts).await,
            Fault::ControllerTerminated => restart(controller, "TERM", lasts).await,
            Fault::ControllerPaused => pause(controller, lasts).await,
            Fault::ApiServerRestarted => self.restart_api_server(End::Term).await,
            Fault::ApiServerKilled => self.restart_api_server(End::Kill).await,
            Fault::EtcdPaused => {
                self.control_plane.signal("etcd", "STOP")?;
                sleep(lasts).await;
                self.control_plane.signal("etcd", "CONT")
            }
            Fault::ApiConnectionsReset => {
                controller.api.reset_some(pick);
                Ok(())
            }
            Fault::GoogleConnectionsReset => {
                controller.google.reset_some(pick);
                Ok(())
            }
            Fault::ApiServerUnreachable => block(&controller.api, Way::Closed, lasts).await,
            Fault::ApiServerSilent => block(&controller.api, Way::Silent, lasts).await,
            Fault::GoogleUnreachable => block(&controller.google, Way::Closed, lasts).await,
            Fault::GoogleSilent => block(&controller.google, Way::Silent, lasts).await,
            Fault::TokensUnreachable => block(&controller.tokens, Way::Closed, lasts).await,
            Fault::TokensRevoked => {
                self.tenant
                    .admin(Method::POST, "tokens/revoke", &Value::Null)
                    .await
            }
            Fault::WrongCertificate => {
                let wrong = json!([{"answer": {"certificate": "otherHost"}}]);
                self.tenant
                    .admin(Method::PUT, "connections", &wrong)
                    .await?;
                // The old connections have the right one.
                self.controllers
                    .iter()
                    .for_each(|controller| controller.google.reset_some(0));
                sleep(lasts).await;
                self.tenant
                    .admin(Method::PUT, "connections", &json!([]))
                    .await
            }
            Fault::SlowAnswers => {
                let slow = json!(format!("{}ms", 500 + pick % 2500));
                self.tenant.admin(Method::PUT, "latency", &slow).await?;
                sleep(lasts).await;
                self.tenant
                    .admin(Method::PUT, "latency", &json!(LATENCY))
                    .await
            }
            answer => {
                let answer = answer.answer().context("a fault without an effect")?;
                self.tenant
                    .admin(Method::PUT, "faults", &json!([answer]))
                    .await?;
                sleep(lasts).await;
                self.tenant.admin(Method::PUT, "faults", &json!([])).await
            }
        }
    }

    async fn restart_api_server(&self, how: End) -> Result<()> {
        let _one_at_a_time = self.restarts.lock().await;
        let control_plane = Arc::clone(&self.control_plane);
        tokio::task::spawn_blocking(move || {
            control_plane.stop_api_server(how)?;
            control_plane.start_api_server()
        })
        .await?
    }
}

/// Ends a controller's process, and starts another one after this time.
async fn restart(controller: &Controller, signal: &str, after: Duration) -> Result<()> {
    let mut started = controller.lock().await;
    controller.signal(*started, signal)?;
    let code = controller.wait_until_ended(*started).await?;
    let lost = controller.has_lost_its_lease(*started)?;
    if signal == "TERM" && code != "0" && !lost {
        bail!(
            "a controller ended with exit code {code} after SIGTERM\n{}",
            controller.log_end(*started)
        );
    }
    sleep(after).await;
    controller.start(&mut started).await
}

async fn pause(controller: &Controller, lasts: Duration) -> Result<()> {
    let started = controller.lock().await;
    controller.signal(*started, "STOP")?;
    sleep(lasts).await;
    controller.signal(*started, "CONT")
}

async fn block(proxy: &Proxy, way: Way, lasts: Duration) -> Result<()> {
    proxy.set(way);
    sleep(lasts).await;
    proxy.set(Way::Open);
    Ok(())
}
