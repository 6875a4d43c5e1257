//! Processes that die: what matters stands in the cluster, so the next one goes on.

use std::time::{Duration, Instant};

use futures::future::{Either, select};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use packwright::api::labels;
use packwright::placement::Mode;
use serde_json::json;

use super::follower::{Follower, in_mode, reserving};
use super::poll::until;
use super::world::World;
use super::{Arrival, assert_followed, bring_up_all, on_cluster};
use crate::placement::dice::Dice;

#[test]
fn a_process_that_dies_again_and_again_loses_nothing() {
    on_cluster(async |_, client| {
        for (seed, arrival) in [(21, Arrival::RandomOrder), (22, Arrival::AllAtOnce)] {
            let world = World::exactly_filled(&client, &format!("dying-{seed}"), seed, 8);
            world.create().await.unwrap();
            world.create_claims().await.unwrap();
            let mut following = Box::pin(async {
                bring_up_all(&world, seed, arrival).await.unwrap();
                assert_followed(&world).await;
            });
            let dice = &mut Dice::new(seed);
            let mut lives = 0;
            let mut last = None;
            loop {
                let follower = Follower::start(&client, in_mode(Mode::Reserve));
                lives += 1;
                // some ends lie before the first step, some between two patches of one
                let life = Duration::from_millis(100 + dice.below(1_000) as u64);
                if lives == 15 {
                    last = Some(follower); // enough
                    break;
                }
                match select(following, Box::pin(tokio::time::sleep(life))).await {
                    Either::Left(_) => {
                        follower.kill().await;
                        break;
                    }
                    Either::Right(((), rest)) => following = rest,
                }
                follower.kill().await;
            }
            if let Some(follower) = last {
                assert_followed(&world).await;
                follower.kill().await;
            }
            println!("{seed}: {} pods, {lives} processes", world.planned());
            world.remove().await.unwrap();
        }
    });
}

#[test]
fn what_a_dead_process_reserved_is_freed_by_the_next() {
    on_cluster(async |_, client| {
        let limit = Duration::from_secs(60);
        let mut world = World::exactly_filled(&client, "left", 23, 2);
        let follower = Follower::start(&client, reserving(limit));
        world.create().await.unwrap();
        for node in [0, 1] {
            world.plan_gated_pod(node).await.unwrap();
        }
        world.create_claims().await.unwrap();
        bring_up_all(&world, 23, Arrival::AllAtOnce).await.unwrap();
        world.await_reserved(0).await;
        world.await_reserved(1).await;
        follower.kill().await;
        let reserved = Instant::now();
        // one claim goes, and with it its plan; the other node's time passes while nobody is there
        world.claims().delete(&world.nodes[0].name, &kube::api::DeleteParams::default()).await.unwrap();
        let long_ago =
            json!({"metadata": {"annotations": {labels::RESERVED_AT: (Timestamp::now() - limit).to_string()}}});
        let (name, by) = (&world.nodes[1].name, PatchParams::default());
        world.nodes().patch(name, &by, &Patch::Merge(long_ago)).await.unwrap();
        let follower = Follower::start(&client, reserving(limit));
        until("free nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
        println!("freed {:?} after the process died", reserved.elapsed());
        follower.kill().await;
        world.remove().await.unwrap();
    });
}
