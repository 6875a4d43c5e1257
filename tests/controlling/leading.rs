//! One controller acts at a time, and none beside another provisioner.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Event;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::on_cluster;
use super::process::Process;
use crate::following::poll::until;

const LEASE: &str = "karpenter-leader-election";
/// Longer than between two renewals.
const UNRENEWED: Duration = Duration::from_secs(5);
const QUIET: [&str; 4] = ["--metrics-port", "0", "--health-probe-port", "0"];

async fn holder(leases: &Api<Lease>) -> Result<Option<String>, kube::Error> {
    let lease = leases.get_opt(LEASE).await?;
    Ok(lease.and_then(|lease| lease.spec?.holder_identity).filter(|holder| !holder.is_empty()))
}

async fn another_holder(leases: &Api<Lease>, than: Option<&str>) -> String {
    until("another holder of the lease", async || {
        Ok(holder(leases).await?.filter(|holder| than != Some(holder.as_str())))
    })
    .await
}

#[test]
fn the_lease_is_handed_on_and_nobody_acts_beside_another_provisioner() {
    on_cluster(async |cluster, client| {
        let ours: Api<Lease> = Api::namespaced(client.clone(), "kube-system");
        let first = Process::start(cluster, &QUIET);
        let of_first = another_holder(&ours, None).await;
        let second = Process::start(cluster, &QUIET);
        first.stop();
        let of_second = another_holder(&ours, Some(&of_first)).await;
        assert_ne!(of_first, of_second);
        second.stop();
        assert_eq!(holder(&ours).await.unwrap(), None, "given back");

        // Karpenter in a namespace of its own: its lease is the one, whoever starts first
        let elsewhere: Api<Lease> = Api::namespaced(client.clone(), "default");
        renew(&elsewhere).await;
        let beside = Process::start(cluster, &QUIET);
        until("the event that says why nothing is done", async || {
            renew(&elsewhere).await;
            said(&client).await
        })
        .await;
        assert_eq!(holder(&ours).await.unwrap(), None);
        elsewhere.delete(LEASE, &DeleteParams::default()).await.unwrap();
        another_holder(&ours, None).await;
        // and now it comes while ours acts
        renew(&elsewhere).await;
        let mut seen = (None, Instant::now());
        until("a lease that is not renewed any more", async || {
            renew(&elsewhere).await;
            let version = ours.get(LEASE).await?.metadata.resource_version;
            if seen.0 != version {
                seen = (version, Instant::now());
            }
            Ok((seen.1.elapsed() > UNRENEWED).then_some(()))
        })
        .await;
        beside.kill();
        for leases in [&ours, &elsewhere] {
            leases.delete(LEASE, &DeleteParams::default()).await.unwrap();
        }
    });
}

async fn renew(leases: &Api<Lease>) {
    let spec = json!({
        "holderIdentity": "karpenter-6d8f_0b", "leaseDurationSeconds": 15,
        "renewTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
    });
    let lease: Lease = serde_json::from_value(json!({"metadata": {"name": LEASE}, "spec": spec})).unwrap();
    if leases.get_opt(LEASE).await.unwrap().is_none() {
        leases.create(&PostParams::default(), &lease).await.unwrap();
    } else {
        leases.patch(LEASE, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.unwrap();
    }
}

async fn said(client: &Client) -> Result<Option<()>, kube::Error> {
    let events: Api<Event> = Api::namespaced(client.clone(), "default");
    let found = events.list(&ListParams::default()).await?.items;
    Ok(found.iter().any(|event| event.reason.as_deref() == Some("AnotherProvisioner")).then_some(()))
}
