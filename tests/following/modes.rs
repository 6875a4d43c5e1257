//! What each mode guarantees on exactly filled nodes: the table of `docs/placement.md`.

use std::env;
use std::time::{Duration, Instant};

use packwright::cluster::Event;
use packwright::placement::Mode;

use super::follower::{Follower, cordons, in_mode};
use super::policy::{as_packwright, with_chart};
use super::poll::until_still;
use super::world::World;
use super::{Arrival, assert_followed, bring_up_all, on_cluster};

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

fn row(mode: Mode, seed: u64, world: &World, landed: (usize, usize), log: &[(Instant, Event)], took: Duration) {
    let come = if arrival(seed) == Arrival::AllAtOnce { "all at once" } else { "one after another" };
    let cordons = cordons(log);
    let median = cordons.get(cordons.len() / 2).map_or("-".to_owned(), |cordon| format!("{:.2}", cordon.as_secs_f64()));
    let patches = log.iter().filter(|(_, event)| matches!(event, Event::Done(_))).count();
    println!(
        "| {mode:?} | {seed} | {} | {come} | {} of {} | {} | {median} | {patches} | {:.1} |",
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
        with_chart(cluster);
        println!("| mode | seed | nodes | they come | bound | as planned | median cordon, s | patches | seconds |");
        for seed in seeds() {
            let mut world = World::exactly_filled(&client, &format!("reserve-{seed}"), seed, nodes());
            world.daemon_priority = env::var(PRIORITY).ok();
            let follower = Follower::start(&as_packwright(cluster).await, in_mode(Mode::Reserve));
            world.create().await.unwrap();
            world.create_claims().await.unwrap();
            let started = Instant::now();
            bring_up_all(&world, seed, arrival(seed)).await.unwrap();
            assert_followed(&world).await;
            assert_eq!(follower.losses(), [""; 0]);
            assert_eq!(follower.landed(), (world.planned(), 0));
            let log = follower.kill().await;
            row(Mode::Reserve, seed, &world, world.landed().await.unwrap(), &log, started.elapsed());
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
                assert_eq!(world.held().await.unwrap(), [""; 0]);
                let log = follower.kill().await;
                row(mode, seed, &world, landed, &log, started.elapsed());
                world.remove().await.unwrap();
            }
        }
    });
}
