//! From a kubeconfig to a client.

use std::io::{IsTerminal as _, stdin};
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{ExecConfig, ExecInteractiveMode};
use kube::{Client, Config};

use super::kubeconfig::configuration;
use super::words::{as_typed, of_client, with_causes};

/// A connection that takes longer, or an answer, is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Which cluster: a kubeconfig (`KUBECONFIG` or `~/.kube/config` where none is named) and one of its contexts (its current one).
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
}

/// A client, and what its cluster is called.
pub struct Connection {
    pub client: Client,
    /// The context of the kubeconfig.
    pub context: String,
}

/// What is being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A command of the kubeconfig; it may ask for something on the terminal.
    Credentials { command: String },
    /// The first answer of the server of a context.
    Answer { context: String, server: String },
    /// The rest of the objects: so many have come.
    Objects(usize),
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Kubeconfig(String),
    #[error("the cluster of context {context} cannot be read: {reason}")]
    Client { context: String, reason: String },
}

impl Target {
    /// `progress` hears what is waited for.
    ///
    /// # Errors
    /// A kubeconfig that is missing, unreadable, or has no such context, or a command of it that gives no credentials; nothing
    /// has been sent yet.
    pub async fn connect(&self, progress: &dyn Fn(Progress)) -> Result<Connection, ConnectError> {
        let (mut config, context) = configuration(self).await.map_err(ConnectError::Kubeconfig)?;
        config.read_timeout = Some(READ_TIMEOUT);
        of_config(config, context, progress)
    }

    /// As [`Target::connect`]; from inside a cluster it is that cluster where no other is named.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub async fn connect_inside(&self, progress: &dyn Fn(Progress)) -> Result<Connection, ConnectError> {
        let (mut config, context) = self.configuration_inside().await?;
        config.read_timeout = Some(READ_TIMEOUT);
        of_config(config, context, progress)
    }

    /// As [`Target::connect_inside`], to stay: nothing is heard for as long as a watch may be silent.
    ///
    /// # Errors
    /// As [`Target::connect`].
    pub async fn connect_to_stay(&self, progress: &dyn Fn(Progress)) -> Result<Connection, ConnectError> {
        let (mut config, context) = self.configuration_inside().await?;
        // the controller asks again when it is time, and has to hear a 429: a PodDisruptionBudget says so that it allows no eviction
        config.default_retry = false;
        of_config(config, context, progress)
    }

    async fn configuration_inside(&self) -> Result<(Config, String), ConnectError> {
        if is_inside() && self.kubeconfig.is_none() && self.context.is_none() {
            let inside = Config::incluster().map_err(|error| ConnectError::Kubeconfig(with_causes(&error)))?;
            return Ok((inside, "in-cluster".to_owned()));
        }
        configuration(self).await.map_err(ConnectError::Kubeconfig)
    }
}

/// Whether this process runs in a pod.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

fn of_config(mut config: Config, context: String, progress: &dyn Fn(Progress)) -> Result<Connection, ConnectError> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    if let Some(exec) = &mut config.auth_info.exec {
        leave_stdin_alone(exec);
        progress(Progress::Credentials { command: as_typed(exec) });
    }
    let exec = config.auth_info.exec.clone();
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config)
        .map_err(|error| ConnectError::Client { context: context.clone(), reason: of_client(&error, exec.as_ref()) })?;
    progress(Progress::Answer { context: context.clone(), server: server.trim_end_matches('/').to_owned() });
    Ok(Connection { client, context })
}

/// A command that would ask if it could does not where nobody can answer (client-go, `IfAvailable`): what comes in there may be
/// manifests.
fn leave_stdin_alone(exec: &mut ExecConfig) {
    if exec.interactive_mode != Some(ExecInteractiveMode::Always) && !stdin().is_terminal() {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}
