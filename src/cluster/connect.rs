//! From a kubeconfig to a client.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

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

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Kubeconfig(String),
    #[error("the cluster of context {context} cannot be read: {reason}")]
    Client { context: String, reason: String },
}

impl Target {
    /// # Errors
    /// A kubeconfig that is missing, unreadable, or has no such context; nothing has been sent yet.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let of_file = |error: KubeconfigError| {
            let file = self.kubeconfig.as_ref().map_or("kubeconfig".to_owned(), |path| path.display().to_string());
            ConnectError::Kubeconfig(format!("{file}: {}", with_causes(&error)))
        };
        let file = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        }
        .map_err(of_file)?;
        let named = self.context.clone().or_else(|| file.current_context.clone());
        let contexts: Vec<String> = file.contexts.iter().map(|context| context.name.clone()).collect();
        let Some(context) = named.filter(|name| contexts.contains(name)) else {
            let asked =
                self.context.as_deref().map_or("no current context".to_owned(), |name| format!("no context {name}"));
            return Err(ConnectError::Kubeconfig(format!(
                "kubeconfig: {asked}: expected one of {}",
                contexts.join(", ")
            )));
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(of_file)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        let client = Client::try_from(config)
            .map_err(|error| ConnectError::Client { context: context.clone(), reason: with_causes(&error) })?;
        Ok(Connection { client, context })
    }
}

/// An error with what caused it, each said once.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
