//! `packwright release` on a real cluster.

use std::fs;
use std::process::Output;

use packwright::placement::Mode;
use serde_json::Value;

use super::follower::{Follower, in_mode};
use super::poll::until;
use super::world::World;
use super::{Arrival, bring_up_all, on_cluster};
use crate::cli::packwright;
use crate::cluster::Cluster;

fn release(cluster: &Cluster, kubeconfig: &str, args: &[&str]) -> Output {
    let kubeconfig = cluster.folder.join(kubeconfig);
    packwright(&[&["release", "--kubeconfig", kubeconfig.to_str().unwrap()], args].concat()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn release_frees_every_reserved_node_and_says_so() {
    on_cluster(async |cluster, client| {
        let mut world = World::exactly_filled(&client, "release", 41, 3);
        let follower = Follower::start(&client, in_mode(Mode::Reserve));
        world.create().await.unwrap();
        world.plan_gated_pod(0).await.unwrap();
        // nothing publishes that: the node stays cordoned
        let cordoned = world.nodes[1].name.clone();
        world.plans.entry(cordoned.clone()).or_default().extended.insert("example.com/nothing".into(), 1);
        world.create_claims().await.unwrap();
        bring_up_all(&world, 41, Arrival::AllAtOnce).await.unwrap();
        world.await_reserved(0).await;
        let names: Vec<&str> = world.nodes.iter().map(|node| node.name.as_str()).collect();
        let held = [format!("{}: packwright.dev/planned", names[0]), format!("{}: cordoned", names[1])];
        until("two nodes that are kept", async || Ok((world.held().await? == held).then_some(()))).await;
        follower.kill().await;
        cluster.kubectl(&["cordon", names[2]]);

        // who may not change nodes is told so, node by node
        let reader = "reader-of-nodes";
        cluster.kubectl(&["create", "clusterrole", reader, "--verb=get,list", "--resource=nodes"]);
        cluster.kubectl(&["create", "clusterrolebinding", reader, "--clusterrole", reader, "--user", reader]);
        for user in [reader, "nobody-at-all"] {
            let kubeconfig = fs::read_to_string(cluster.folder.join("kubeconfig")).unwrap();
            let as_user = kubeconfig.replace("user: {token:", &format!("user: {{as: {user}, token:"));
            fs::write(cluster.folder.join(user), as_user).unwrap();
        }
        let refused = release(cluster, reader, &[]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(stdout(&refused).matches("not freed: nodes ").count(), 2, "{}", stdout(&refused));
        let unread = release(cluster, "nobody-at-all", &[]);
        assert_eq!(unread.status.code(), Some(2), "{unread:?}");
        assert!(String::from_utf8_lossy(&unread.stderr).contains("nodes is forbidden"), "{unread:?}");
        assert_eq!(world.held().await.unwrap().len(), 3, "nothing was freed");

        let dry = release(cluster, "kubeconfig", &["--dry-run", "-o", "json", names[0]]);
        assert_eq!(dry.status.code(), Some(0), "{dry:?}");
        let shown: Value = serde_json::from_slice(&dry.stdout).unwrap();
        assert_eq!((shown.as_array().unwrap().len(), &shown[0]["node"]), (1, &names[0].into()), "{shown}");
        assert_eq!((&shown[0]["freed"], &shown[0]["would_be_freed"]), (&false.into(), &true.into()), "{shown}");
        assert!(stdout(&release(cluster, "kubeconfig", &["--dry-run"])).contains("would be freed"));
        let unknown = release(cluster, "kubeconfig", &[names[0], "no-such-node"]);
        assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no node no-such-node\n"), "{unknown:?}");
        assert_eq!(world.held().await.unwrap().len(), 3, "nothing was freed");

        let output = release(cluster, "kubeconfig", &["-o", "json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of = |node: &str| shown.as_array().unwrap().iter().find(|shown| shown["node"] == node).cloned();
        let first = of(names[0]).unwrap();
        assert_eq!(
            (&first["was"], &first["claim"], &first["freed"]),
            (&"reserved".into(), &names[0].into(), &true.into())
        );
        assert!(first["since"].is_string() && of(names[1]).unwrap()["was"] == "cordoned", "{shown}");
        assert_eq!(of(names[2]), None, "{shown}");
        assert_eq!(world.held().await.unwrap(), [format!("{}: cordoned", names[2])], "a person did that");
        for node in [0, 1] {
            let annotations = world.node(node).await.unwrap().metadata.annotations.unwrap_or_default();
            assert!(annotations.keys().all(|key| !key.starts_with("packwright.dev/")), "{annotations:?}");
        }
        let again = release(cluster, "kubeconfig", &[]);
        assert_eq!((again.status.code(), stdout(&again).as_str()), (Some(0), "no node is reserved\n"));
        world.remove().await.unwrap();
    });
}
