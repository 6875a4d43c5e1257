//! What becomes of an answer to what was asked: its plan is carried out, as far as it may be.

use std::sync::Arc;

use jiff::Timestamp;

use super::carry_out::carry_out;
use super::cluster::Cluster;
use super::spend::Spend;
use super::turn::Turn;
use super::unseen::unseen;
use super::{Controller, NOMINATION, Room, Step, last_try};
use crate::host::Decision;
use crate::observe::snapshot::Pod;
use crate::plan::Target;

impl Controller {
    pub(super) fn decided(&mut self, question: u64, decision: Option<&Decision>, now: Timestamp, step: &mut Step) {
        let Some(asked) = self.asked.take_if(|asked| asked.question == question) else { return };
        self.recent.note_decision(asked.at, now);
        let Some(decision) = decision else { return };
        self.carried = Arc::new(decision.carried(&asked.snapshot));
        let mut cluster = Cluster::of(self.world.objects(), self.world.index(), self.settings.provider, None);
        cluster.unseen = unseen(&cluster, &self.garbage, &self.instances, self.market.pools());
        let spend = Spend::of(&cluster, self.market.pools(), &mut self.prices);
        let mut room = Room::of(&self.settings.valves, &cluster, &spend, &mut self.recent, now);
        let mut turn = Turn { now, settings: &self.settings, writes: &mut self.writes, step };
        // kube-scheduler takes those first that it has tried first
        let tried = |pod: &Pod| last_try(self.world.objects(), pod);
        let plan = decision.plan.clone().exchanged(&asked.snapshot, tried);
        let decision = &Decision { plan, ..decision.clone() };
        let done = carry_out(&asked, decision, &self.world, &mut room, &mut turn);
        self.nominated.extend(done.nodes.into_iter().map(|node| (node, now + NOMINATION)));
        self.buffers.decided(&asked.snapshot, &decision.plan, &done.created, now);
        for (launch, claim) in &done.created {
            self.recent.note_launch(claim.clone(), now);
            let here = decision.plan.assignments.iter().filter(|of| of.target == Target::Launch(*launch));
            let pods = here.map(|assignment| asked.snapshot.pods[assignment.pod].clone());
            let pool = &asked.snapshot.node_pools[decision.plan.launches[*launch].pool].name;
            self.creating.note(claim.clone(), pool.clone(), pods.collect());
        }
    }
}
