//! Nodes that are there without pods: those of a static pool, and those that a CapacityBuffer keeps.

use super::process::Process;
use super::{Seen, gone, on_cluster};
use crate::following::poll::until;

const MANIFESTS: &str = "tests/controlling/keeping.yaml";
const PROVISIONING: &str = r#"jsonpath={.status.conditions[?(@.type=="Provisioning")].reason}"#;

#[test]
fn a_static_pool_and_a_buffer_get_their_nodes_and_give_them_back() {
    on_cluster(async |cluster, client| {
        let _controller = Process::with_gates(cluster, "StaticCapacity=true,CapacityBuffer=true");
        let setup = ["examples/getting-started/node-class.yaml", "examples/getting-started/node-pool.yaml"];
        for file in &setup {
            drop(cluster.kubectl(&["apply", "-f", file]));
        }
        cluster.kubectl(&["apply", "-f", MANIFESTS]);
        until("room that is kept, beside the node of the static pool", async || {
            let seen = Seen::of(&client).await?;
            let fixed = seen.claims.iter().filter(|claim| {
                let labels = claim.metadata.labels.as_ref();
                labels.and_then(|of| of.get("karpenter.sh/nodepool")).is_some_and(|pool| pool == "fixed")
            });
            let kept = cluster.kubectl(&["get", "capacitybuffer", "room", "-o", PROVISIONING]);
            let is_kept = kept == "FitsExistingCapacity" && fixed.count() == 1 && seen.is_settled(0);
            Ok((is_kept && seen.nodes.len() >= 2).then_some(()))
        })
        .await;
        cluster.kubectl(&["delete", "capacitybuffer", "room"]);
        cluster.kubectl(&["patch", "nodepool", "fixed", "--type=merge", "-p", r#"{"spec":{"replicas":0}}"#]);
        gone(&client).await;
        cluster.kubectl(&["delete", "-f", MANIFESTS, "--ignore-not-found"]);
        for file in &setup {
            drop(cluster.kubectl(&["delete", "-f", file]));
        }
    });
}
