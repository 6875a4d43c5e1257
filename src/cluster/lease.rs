//! One controller acts at a time: who holds the Lease that Karpenter itself would hold.
//!
//! A Lease of that name in any other namespace counts too: where another controller renews one, this one does not act. As in
//! client-go, nobody's clock is believed: a Lease is over when it has not changed for its duration since it was first seen so.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Error, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::words::with_causes;

/// As controller-runtime has them.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_WITHIN: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// Which Lease, and who we are.
#[derive(Debug, Clone)]
pub struct Election {
    /// Of the Lease: `karpenter-leader-election`.
    pub name: String,
    /// Where the Lease is made if there is no installation of Karpenter.
    pub namespace: String,
    /// Different for every process; with [`MARK`] in it.
    pub identity: String,
}

/// Whether this controller may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// It does not know yet.
    Unknown,
    /// It holds the Lease.
    Leads {
        /// Whoever stands still for longer does not: what is sent by then arrives before another one acts. `None`: there is no
        /// election.
        until: Option<Instant>,
    },
    /// It takes no part: it decides, and does nothing.
    Shadows,
    /// Another process of ours does.
    StandsBy(String),
    /// Another program does: two provisioners are installed.
    Conflict {
        /// Who.
        holder: String,
        /// Of the Lease.
        namespace: String,
        /// Of the Lease.
        name: String,
    },
    /// The Lease cannot be renewed, and why.
    Blocked(String),
}

impl Stand {
    /// Whether there is something to decide.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.leads() || *self == Self::Shadows
    }

    /// Whether it holds the Lease now.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self, Self::Leads { until } if until.is_none_or(|until| Instant::now() < until))
    }

    /// Whether nothing is new but the time until when it leads.
    fn goes_on_as(&self, next: &Self) -> bool {
        self == next || (self.leads() && next.leads())
    }
}

/// What the identities of our processes have in them, and no others.
pub const MARK: &str = "_packwright-";

/// Stands for election until it is dropped, and says how that stands.
pub async fn stand(client: Client, election: Election, said: watch::Sender<Stand>) {
    let mut candidate = Candidate { client, election, seen: BTreeMap::new(), renewed: None };
    let publish = |stand: Stand| {
        said.send_if_modified(move |known| {
            let is_news = !known.goes_on_as(&stand);
            *known = stand;
            is_news
        })
    };
    loop {
        // who leads has until then, however many rounds fail
        let end = candidate.renewed.unwrap_or_else(Instant::now) + RENEW_WITHIN;
        let end = end.max(Instant::now() + RETRY);
        let failed = match tokio::time::timeout_at(end, candidate.round()).await {
            Ok(Ok(stand)) => {
                publish(stand);
                None
            }
            Ok(Err(error)) => Some(with_causes(&error)),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(reason) = failed
            && candidate.renewed.is_none_or(|at| at.elapsed() + RETRY >= RENEW_WITHIN)
        {
            candidate.renewed = None;
            publish(Stand::Blocked(format!("the lease cannot be renewed: {reason}")));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Gives the Lease back, so that the next one does not have to wait.
///
/// # Errors
/// The API server does not take it.
pub async fn resign(client: Client, election: &Election) -> Result<(), Error> {
    let leases: Api<Lease> = Api::all(client.clone());
    let named = ListParams::default().fields(&format!("metadata.name={}", election.name));
    for lease in leases.list(&named).await? {
        if holder(&lease) == Some(&*election.identity) {
            let own: Api<Lease> = Api::namespaced(client.clone(), &lease.namespace().unwrap_or_default());
            let body = json!({
                "metadata": {"resourceVersion": lease.resource_version()},
                "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
            });
            own.patch(&election.name, &PatchParams::default(), &Patch::Merge(body)).await?;
        }
    }
    Ok(())
}

struct Candidate {
    client: Client,
    election: Election,
    /// By namespace, the version of a Lease, and since when it has it.
    seen: BTreeMap<String, (String, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    async fn round(&mut self) -> Result<Stand, Error> {
        let all: Api<Lease> = Api::all(self.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={}", self.election.name));
        let leases = all.list(&named).await?.items;
        let asked = Instant::now();
        for lease in &leases {
            let (namespace, version) =
                (lease.namespace().unwrap_or_default(), lease.resource_version().unwrap_or_default());
            let seen = self.seen.entry(namespace).or_insert_with(|| (version.clone(), asked));
            if seen.0 != version {
                *seen = (version, asked);
            }
        }
        let alive = |lease: &&Lease| self.is_alive(lease, asked);
        let others: Vec<&Lease> = leases.iter().filter(|lease| self.is_of_other(lease)).filter(alive).collect();
        let is_foreign = |lease: &&&Lease| !holder(lease).unwrap_or_default().contains(MARK);
        if let Some(foreign) = others.iter().find(is_foreign) {
            return Ok(Stand::Conflict {
                holder: holder(foreign).unwrap_or_default().to_owned(),
                namespace: foreign.namespace().unwrap_or_default(),
                name: self.election.name.clone(),
            });
        }
        let own = leases.iter().find(|lease| holder(lease) == Some(&*self.election.identity));
        let comes_first = |lease: &&&Lease| own.is_none_or(|own| lease.namespace() < own.namespace());
        if let Some(ours) = others.iter().find(comes_first) {
            return Ok(Stand::StandsBy(holder(ours).unwrap_or_default().to_owned()));
        }
        let home = match leases.iter().find(|lease| holder(lease) == Some(&*self.election.identity)) {
            Some(own) => own.namespace().unwrap_or_default(),
            None => self.home(&leases).await?,
        };
        let is_new = self.renewed.is_none();
        let taken = match leases.iter().find(|lease| lease.namespace().as_deref() == Some(&home)) {
            Some(lease) => self.take(lease).await,
            None => self.create(&home).await,
        };
        match taken {
            Ok(()) => {
                self.renewed = Some(asked);
                // two that began at once in different namespaces see one another in the next round
                let leads = Stand::Leads { until: Some(asked + RENEW_WITHIN) };
                Ok(if is_new { Stand::StandsBy("nobody".to_owned()) } else { leads })
            }
            // somebody was faster; who leads tries again
            Err(Error::Api(status)) if status.code == 409 && is_new => {
                Ok(Stand::StandsBy("whoever was faster".to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    fn is_of_other(&self, lease: &Lease) -> bool {
        holder(lease).is_some_and(|holder| holder != self.election.identity)
    }

    fn is_alive(&self, lease: &Lease, now: Instant) -> bool {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(DURATION, Duration::from_secs);
        let seen = self.seen.get(&lease.namespace().unwrap_or_default());
        seen.is_none_or(|(_, since)| now.duration_since(*since) < duration)
    }

    /// Where Karpenter would have it: where a Lease of that name is, or else a Deployment of its chart.
    async fn home(&self, leases: &[Lease]) -> Result<String, Error> {
        if let Some(lease) = leases.first() {
            return Ok(lease.namespace().unwrap_or_default());
        }
        let deployments: Api<Deployment> = Api::all(self.client.clone());
        let of_chart = ListParams::default().labels("app.kubernetes.io/name=karpenter");
        let found = deployments.list(&of_chart).await?.items.into_iter().next();
        Ok(found.and_then(|found| found.namespace()).unwrap_or_else(|| self.election.namespace.clone()))
    }

    async fn take(&self, lease: &Lease) -> Result<(), Error> {
        let changed = holder(lease) != Some(&*self.election.identity);
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0);
        let mut spec = json!({
            "holderIdentity": self.election.identity,
            "leaseDurationSeconds": DURATION.as_secs(),
            "renewTime": now(),
        });
        if changed {
            spec["acquireTime"] = json!(now());
            spec["leaseTransitions"] = json!(transitions + 1);
        }
        let body = json!({"metadata": {"resourceVersion": lease.resource_version()}, "spec": spec});
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &lease.namespace().unwrap_or_default());
        api.patch(&self.election.name, &PatchParams::default(), &Patch::Merge(body)).await.map(drop)
    }

    async fn create(&self, namespace: &str) -> Result<(), Error> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.election.name, "namespace": namespace},
            "spec": {
                "holderIdentity": self.election.identity,
                "leaseDurationSeconds": DURATION.as_secs(),
                "acquireTime": now(),
                "renewTime": now(),
                "leaseTransitions": 0,
            },
        });
        let lease: Lease = serde_json::from_value(lease).map_err(Error::SerdeError)?;
        let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
        api.create(&PostParams::default(), &lease).await.map(drop)
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// As a `MicroTime` is written.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_renewed_in_time_does_not_lead_and_says_so_when_it_does_again() {
        let of = |seconds| Stand::Leads { until: Some(Instant::now() + Duration::from_secs(seconds)) };
        assert!(of(10).leads() && of(10).decides() && of(10).goes_on_as(&of(12)));
        let over = of(0);
        assert!(!over.leads() && !over.decides());
        assert!(!over.goes_on_as(&of(10)), "it leads again");
        assert!(Stand::Leads { until: None }.leads(), "without election it always does");
    }
}
