//! What each mode guarantees on exactly filled nodes: the table of `docs/placement.md`.

use std::env;
use std::time::{Duration, Instant};

use packwright::placement::Mode;

use super::follower::{Follower, in_mode};
use super::poll::{until, until_still};
use super::world::World;
use super::{Arrival, assert_followed, bring_up_all, on_cluster};
use crate::controlling::chart::Release;

/// Nodes of a world, and seeds by commas; `make modes` asks for more by these variables. One seed comes all at once.
const NODES: &str = "PACKWRIGHT_MODES_NODES";
const SEEDS: &str = "PACKWRIGHT_MODES_SEEDS";
/// The priority class of the daemon pods, which have none otherwise.
const PRIORITY: &str = "PACKWRIGHT_MODES_PRIORITY";
/// In the modes that guarantee nothing, it is over when nothing has been bound for so long.
const STILL: Duration = Duration::from_secs(4);

fn nodes() -> usize {
    env::var(NODES).map_or(8, |text| text.parse().expect("a number"))
}

fn seeds() -> Vec<u64> {
    let seeds = env::var(SEEDS).unwrap_or_else(|_| "7,8,9".to_owned());
    seeds.split(',').map(|seed| seed.trim().parse().expect("a number")).collect()
}

/// Every third seed.
fn arrival(seed: u64) -> Arrival {
    if seed.is_multiple_of(3) { Arrival::AllAtOnce } else { Arrival::RandomOrder }
}

fn row(mode: Mode, seed: u64, world: &World, landed: (usize, usize), took: Duration) {
    let come = if arrival(seed) == Arrival::AllAtOnce { "all at once" } else { "one after another" };
    println!(
        "| {mode:?} | {seed} | {} | {come} | {} of {} | {} | {:.1} |",
        world.nodes.len(),
        landed.0,
        world.planned(),
        landed.1,
        took.as_secs_f64()
    );
}

#[test]
fn reserve_binds_every_pod_where_it_is_planned() {
    on_cluster(async |cluster, client| {
        let release = Release::install(cluster, "modes", &["replicas=0"]); // its pods would want room
        let ours = release.client().await;
        println!("| mode | seed | nodes | they come | bound | as planned | seconds |");
        for seed in seeds() {
            let mut world = World::exactly_filled(&client, &format!("reserve-{seed}"), seed, nodes());
            world.daemon_priority = env::var(PRIORITY).ok();
            let follower = Follower::start(&ours, in_mode(Mode::Reserve));
            world.create().await.unwrap();
            world.create_claims().await.unwrap();
            let started = Instant::now();
            bring_up_all(&world, seed, arrival(seed)).await.unwrap();
            assert_followed(&world).await;
            assert_eq!(follower.losses(), [""; 0]);
            assert_eq!(follower.landed(), (world.planned(), 0));
            follower.kill().await;
            row(Mode::Reserve, seed, &world, world.landed().await.unwrap(), started.elapsed());
            world.remove().await.unwrap();
        }
    });
}

/// Not a promise of ours: that kube-scheduler's own choice leaves pods behind is why there is `Reserve`.
#[test]
fn the_other_modes_open_every_node_and_keep_it_from_nobody() {
    on_cluster(async |_, client| {
        let seeds = seeds();
        let seeds = if env::var(SEEDS).is_ok() { &seeds[..] } else { &seeds[..1] };
        for mode in [Mode::Observe, Mode::Nominate] {
            for &seed in seeds {
                let name = format!("{mode:?}-{seed}").to_lowercase();
                let world = World::exactly_filled(&client, &name, seed, nodes());
                let follower = Follower::start(&client, in_mode(mode));
                world.create().await.unwrap();
                world.create_claims().await.unwrap();
                let started = Instant::now();
                bring_up_all(&world, seed, arrival(seed)).await.unwrap();
                let planned = world.planned();
                let landed =
                    until_still(STILL, |landed: &(usize, usize)| landed.0 == planned, async || world.landed().await)
                        .await;
                until("open nodes", async || Ok(world.held().await?.is_empty().then_some(()))).await;
                follower.kill().await;
                row(mode, seed, &world, landed, started.elapsed());
                world.remove().await.unwrap();
            }
        }
    });
}
