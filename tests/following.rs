//! The controller follows plans, on a real control plane: planned pods bind where they are planned, in spite of what else happens.

mod faults;
mod follower;
mod modes;
mod planned;
pub mod poll;
mod policy;
mod processes;
mod releasing;
mod replacement;
mod world;

use std::time::Duration;

use futures::future::try_join_all;
use kube::Error;

use crate::controlling::on_cluster;
use crate::placement::dice::Dice;
use poll::until;
use world::World;

/// The pause between two nodes that come one after another.
const BETWEEN_NODES: Duration = Duration::from_millis(100);

/// How nodes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// One after another, in random order.
    RandomOrder,
    AllAtOnce,
}

async fn bring_up_all(world: &World, seed: u64, arrival: Arrival) -> Result<(), Error> {
    let mut order: Vec<usize> = (0..world.nodes.len()).collect();
    Dice::new(seed ^ 0x0bde5).shuffle(&mut order);
    if arrival == Arrival::AllAtOnce {
        return try_join_all(order.iter().map(|&node| world.bring_up(&world.nodes[node]))).await.map(drop);
    }
    for node in order {
        world.bring_up(&world.nodes[node]).await?;
        tokio::time::sleep(BETWEEN_NODES).await; // as machines come, one after another
    }
    Ok(())
}

/// Waits until every planned pod is bound, where the plan says, and no node is kept from other pods any more.
async fn assert_followed(world: &World) {
    let planned = world.planned();
    until("every planned pod", async || Ok((world.landed().await?.0 == planned).then_some(()))).await;
    assert_eq!(world.misplaced().await.unwrap(), [""; 0]);
    until("free nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
    until("daemon pods", async || Ok((world.daemons("daemon").await? == world.nodes.len()).then_some(()))).await;
}
