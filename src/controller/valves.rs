//! Safety valves: what binds whatever a decision wants to launch. What they hold back is planned again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::said::Said;
use super::spend::Spend;
use super::turn::{Turn, later};
use crate::host::Search;
use crate::observe::snapshot::NodePool;
use crate::units::MicroUsd;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How far each is open; `None`: as far as decisions want.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Valves {
    /// Nodes of all NodePools, those on their way included.
    pub nodes: Option<usize>,
    /// Price of all nodes together, those on their way at the dearest that they may become.
    pub usd_per_hour: Option<MicroUsd>,
    /// The same by NodePool.
    pub pool_usd_per_hour: BTreeMap<Arc<str>, MicroUsd>,
    /// Nodes that are launched within a minute.
    pub launches_per_minute: Option<usize>,
    /// Seconds that deciding may take within an hour. After that Karpenter's own packing decides, which takes moments.
    pub solver_seconds_per_hour: Option<u64>,
    /// Pods that are evicted by choice within an hour, those of empty nodes aside.
    pub evictions_per_hour: Option<usize>,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valve {
    Nodes,
    UsdPerHour,
    NodePoolUsdPerHour,
    LaunchesPerMinute,
    SolverSecondsPerHour,
    EvictionsPerHour,
}

impl Valve {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Nodes,
        Self::UsdPerHour,
        Self::NodePoolUsdPerHour,
        Self::LaunchesPerMinute,
        Self::SolverSecondsPerHour,
        Self::EvictionsPerHour,
    ];

    /// As metrics call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::UsdPerHour => "usd_per_hour",
            Self::NodePoolUsdPerHour => "nodepool_usd_per_hour",
            Self::LaunchesPerMinute => "launches_per_minute",
            Self::SolverSecondsPerHour => "solver_seconds_per_hour",
            Self::EvictionsPerHour => "evictions_per_hour",
        }
    }
}

impl fmt::Display for Valve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodes => "the most nodes that there may be",
            Self::UsdPerHour => "the most that nodes may cost an hour",
            Self::NodePoolUsdPerHour => "the most that nodes of this NodePool may cost an hour",
            Self::LaunchesPerMinute => "the most nodes that may be launched within a minute",
            Self::SolverSecondsPerHour => "the most time that deciding may take within an hour",
            Self::EvictionsPerHour => "the most pods that may be evicted by choice within an hour",
        })
    }
}

/// What was launched within the last minute, and how long was decided within the last hour. Claims that still are there say
/// themselves when they were made; those that are gone, and what deciding took, this process alone knows.
#[derive(Debug, Default)]
pub(super) struct Recent {
    launched: BTreeMap<Arc<str>, Timestamp>,
    decided: VecDeque<(Timestamp, Duration)>,
    /// Deciding has taken all the time that it may, and that was said.
    is_held: bool,
}

impl Recent {
    pub fn note_launch(&mut self, claim: Arc<str>, now: Timestamp) {
        self.launched.retain(|_, at| later(*at, MINUTE) > now);
        self.launched.insert(claim, now);
    }

    /// One that was asked for then, and has come now.
    pub fn note_decision(&mut self, asked_at: Timestamp, now: Timestamp) {
        let took = Duration::try_from(now.duration_since(asked_at)).unwrap_or_default();
        self.decided.push_back((now, took));
    }

    /// Launches within the minute before.
    fn launches(&mut self, cluster: &Cluster<'_>, now: Timestamp) -> usize {
        let is_recent = |at: Timestamp| later(at, MINUTE) > now;
        self.launched.retain(|_, at| is_recent(*at));
        let created = cluster.our_claims().filter(|claimed| {
            let created = claimed.claim.metadata.creation_timestamp.as_ref();
            created.is_some_and(|time| is_recent(time.0)) && !self.launched.contains_key(claimed.name())
        });
        let unseen = cluster.unseen.iter().filter(|node| node.created_at.is_some_and(is_recent));
        self.launched.len() + created.count() + unseen.count()
    }

    /// Whether what is there may be looked through for what costs less; where it may not, that is said once.
    pub fn lets_search(&mut self, pools: &[NodePool], turn: &mut Turn<'_>) -> bool {
        let may_search = self.search(&turn.settings.valves, turn.now) == Search::Integer;
        if !may_search && !self.is_held {
            let (valve, claims) = (Valve::SolverSecondsPerHour, 0);
            let usable = pools.iter().filter(|pool| pool.unusable.is_none());
            usable.for_each(|pool| turn.say(Said::HeldBack { valve, pool: pool.name.clone(), claims }));
        }
        self.is_held = !may_search;
        may_search
    }

    /// By what the next decision searches.
    pub fn search(&mut self, valves: &Valves, now: Timestamp) -> Search {
        self.decided.retain(|(at, _)| later(*at, HOUR) > now);
        let taken: Duration = self.decided.iter().map(|(_, took)| *took).sum();
        match valves.solver_seconds_per_hour {
            Some(most) if taken >= Duration::from_secs(most) => Search::Greedy,
            _ => Search::Integer,
        }
    }
}

/// What the valves leave for the launches of one decision.
#[derive(Debug, Clone)]
pub(super) struct Room {
    nodes: Option<usize>,
    usd: Option<MicroUsd>,
    by_pool: BTreeMap<Arc<str>, MicroUsd>,
    launches: Option<usize>,
}

impl Room {
    pub fn of(valves: &Valves, cluster: &Cluster<'_>, spend: &Spend, recent: &mut Recent, now: Timestamp) -> Self {
        let less = |most: MicroUsd, used: MicroUsd| MicroUsd(most.0.saturating_sub(used.0));
        let of_pool = |(pool, most): (&Arc<str>, &MicroUsd)| (pool.clone(), less(*most, spend.worst_of(pool)));
        let launched = valves.launches_per_minute.map_or(0, |_| recent.launches(cluster, now));
        Self {
            nodes: valves.nodes.map(|most| most.saturating_sub(cluster.all_claims().count() + cluster.unseen.len())),
            usd: valves.usd_per_hour.map(|most| less(most, spend.worst())),
            by_pool: valves.pool_usd_per_hour.iter().map(of_pool).collect(),
            launches: valves.launches_per_minute.map(|most| most.saturating_sub(launched)),
        }
    }

    /// Takes a node in that may cost so much.
    ///
    /// # Errors
    /// The valve that holds it back.
    pub fn take(&mut self, pool: &str, price: MicroUsd) -> Result<(), Valve> {
        let of_pool = self.by_pool.get_mut(pool);
        let bound = [
            (self.nodes == Some(0), Valve::Nodes),
            (self.launches == Some(0), Valve::LaunchesPerMinute),
            (self.usd.is_some_and(|left| left < price), Valve::UsdPerHour),
            (of_pool.as_ref().is_some_and(|left| **left < price), Valve::NodePoolUsdPerHour),
        ];
        if let Some((_, valve)) = bound.into_iter().find(|(binds, _)| *binds) {
            return Err(valve);
        }
        for count in [&mut self.nodes, &mut self.launches].into_iter().flatten() {
            *count -= 1;
        }
        for left in self.usd.iter_mut().chain(of_pool) {
            *left = *left - price;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::CapacityType;
    use crate::cloud::{Answer, Listed, Machine, Provider, Request};
    use crate::controller::played::{Played, claims_of, pods};
    use crate::controller::{Action, ControllerSettings, Event, Said, Step};

    fn usd(usd: f64) -> MicroUsd {
        MicroUsd::from_usd(usd)
    }

    #[test]
    fn each_valve_holds_back_what_is_beyond_it_and_nothing_else() {
        let room = || Room { nodes: None, usd: None, by_pool: BTreeMap::new(), launches: None };
        let cases = [
            (Room { nodes: Some(2), ..room() }, Valve::Nodes),
            (Room { launches: Some(2), ..room() }, Valve::LaunchesPerMinute),
            (Room { usd: Some(usd(2.5)), ..room() }, Valve::UsdPerHour),
            (Room { by_pool: [(Arc::from("a"), usd(2.5))].into(), ..room() }, Valve::NodePoolUsdPerHour),
        ];
        for (mut room, valve) in cases {
            assert_eq!([0; 3].map(|_| room.take("a", usd(1.0))), [Ok(()), Ok(()), Err(valve)]);
            let of_other = if valve == Valve::NodePoolUsdPerHour { Ok(()) } else { Err(valve) };
            assert_eq!(room.take("b", usd(1.0)), of_other);
        }
        // exactly at its end
        let mut room = Room { usd: Some(usd(1.0)), ..room() };
        assert_eq!([room.take("a", usd(1.0)), room.take("a", usd(0.0))], [Ok(()), Ok(())]);
    }

    #[test]
    fn who_has_decided_for_too_long_leaves_it_to_the_greedy_for_the_rest_of_the_hour() {
        let valves = Valves { solver_seconds_per_hour: Some(10), ..Valves::default() };
        let at = |minute: i64| Timestamp::from_second(60 * minute).unwrap();
        let six_seconds_before = |at: Timestamp| at - Duration::from_secs(6);
        let mut recent = Recent::default();
        recent.note_decision(six_seconds_before(at(0)), at(0));
        assert_eq!(recent.search(&valves, at(1)), Search::Integer);
        recent.note_decision(six_seconds_before(at(1)), at(1));
        assert_eq!(recent.search(&valves, at(1)), Search::Greedy);
        assert_eq!(recent.search(&Valves::default(), at(1)), Search::Integer, "nobody limits it");
        assert_eq!(recent.search(&valves, at(59)), Search::Greedy);
        assert_eq!(recent.search(&valves, at(60)), Search::Integer, "the first one is an hour ago");
    }

    fn held(step: &Step) -> Vec<Valve> {
        let valve = |said: &Said| match said {
            Said::HeldBack { valve, .. } => Some(*valve),
            _ => None,
        };
        step.said.iter().filter_map(valve).collect()
    }

    /// Three pods, one of which fills a node.
    fn played(valves: Valves) -> Played {
        Played::new(ControllerSettings { valves, ..ControllerSettings::default() }, &pods(3, "60"))
    }

    #[test]
    fn launches_beyond_a_valve_wait_and_their_pods_are_planned_again() {
        let mut played = played(Valves { launches_per_minute: Some(2), ..Valves::default() });
        let step = played.decide();
        assert_eq!(claims_of(&step).len(), 2);
        assert_eq!(held(&step), [Valve::LaunchesPerMinute]);
        let told = step
            .said
            .iter()
            .any(|said| matches!(said, Said::FailedScheduling { reason, .. } if reason.contains("within a minute")));
        assert!(told, "{:?}", step.said);
        played.take_in(step);
        // the one that waits is planned again, within the minute in vain
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (0, vec![Valve::LaunchesPerMinute]));
        played.pass(Duration::from_secs(60));
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (1, vec![]), "{:?}", step.said);
    }

    #[test]
    fn what_is_there_counts() {
        let mut played = played(Valves { nodes: Some(2), ..Valves::default() });
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (2, vec![Valve::Nodes]));
        played.take_in(step);
        played.pass(Duration::from_secs(60));
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (0, vec![Valve::Nodes]), "also those on their way");
        let price = played.spend_worst();
        let most = MicroUsd(price.0 / 2 * 3);
        let mut played = self::played(Valves { usd_per_hour: Some(most), ..Valves::default() });
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (3, vec![]), "{price} for two");
        played.take_in(step);
        played.see("Pod", pods(1, "60").remove(0), "more");
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (0, vec![Valve::UsdPerHour]));
    }

    /// The cloud lists an instance of another process, of 64 cores.
    fn list_another(played: &mut Played) {
        let step = played.controller.step(played.now);
        assert!(step.actions.iter().any(|action| matches!(action, Action::Cloud(Request::List))), "{:?}", step.actions);
        played.take_in(step);
        let mut types = played.controller.market.pools()[0].instance_types.iter();
        let instance_type = types.find(|kind| kind.name.contains("-64x-")).expect("kwok has it").name.clone();
        let listed = Listed {
            provider_id: "aws:///test-zone-a/i-1".into(),
            claim: Some("another".into()),
            launch: None,
            claim_name: None,
            launched_at: played.now,
            pool: Some("default".into()),
            machine: Some(Machine {
                instance_type,
                zone: "test-zone-a".into(),
                capacity_type: CapacityType::OnDemand,
                image_id: "".into(),
                subnet_id: None,
                security_groups: Vec::new(),
                reservation: None,
                placement_group: None,
                partition: None,
            }),
        };
        played.controller.observe(Event::Cloud(Answer::Listed(Ok(vec![listed]))), played.now);
    }

    fn of_ec2(valves: Valves) -> Played {
        let settings = ControllerSettings { provider: Provider::Ec2, valves, ..ControllerSettings::default() };
        Played::new(settings, &pods(3, "60"))
    }

    #[test]
    fn instances_of_claims_that_nobody_has_seen_count() {
        let mut played = of_ec2(Valves { nodes: Some(2), ..Valves::default() });
        list_another(&mut played);
        let step = played.decide();
        assert_eq!((claims_of(&step).len(), held(&step)), (1, vec![Valve::Nodes]));
        let mut played = of_ec2(Valves::default());
        let limited = json!({"spec": {
            "limits": {"cpu": "130"},
            "template": {"spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
                "requirements": [{"key": "karpenter.kwok.sh/instance-size", "operator": "In", "values": ["64"]}],
            }}},
            "metadata": {},
            "status": {"nodes": 0, "resources": {}, "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-05T11:00:00Z",
            }]},
        });
        played.see("NodePool", limited.clone(), "default");
        assert_eq!(claims_of(&played.decide()).len(), 2, "of 64 cores");
        let mut played = of_ec2(Valves::default());
        played.see("NodePool", limited, "default");
        list_another(&mut played);
        assert_eq!(claims_of(&played.decide()).len(), 1, "one is there");
    }
}
