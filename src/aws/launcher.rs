//! From launches to instances: alike ones in one call, launch templates made first, tokens written to the claims before anything is
//! bought, and claims that may have been asked for before looked up before anything is sent again.
//!
//! An answer that is lost is asked for by the same request with the same token, as often as the client tries a call: EC2 answers with the
//! same instances. After its last try, and after a crash, what there is is looked for by the token's tag; where nothing is found, the next
//! attempt has another token. Instances of the one before it that are listed only then are nobody's, and `controller/garbage.rs` ends them.

mod sent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use metrics::counter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::connect::Aws;
use super::facts::Facts;
use super::fleet::create;
use super::instances::{KnownInstance, KnownInstances, describe};
use super::market::Keeper;
use super::templates::Templates;
use super::told::{Teller, tell};
use super::{Leads, batch, tokens};
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::fleet::earlier;
use crate::cloud::ec2::fleet::{
    Addresses, Answers, Batch, Failure, FleetRequest, FleetResponse, Templated, Token, answers, batches, refused,
    request, templates,
};
use crate::cloud::ec2::listing::FoundInstance;
use crate::cloud::ec2::tags::Tags;
use crate::cloud::{Answer, Instance, Launch, LaunchError, OfferingName};
use crate::controller::Event;
pub(super) use sent::Sent;

/// What EC2 has just launched may not be listed for a moment: before another attempt it is looked for so often, with such pauses.
const LOOKS: usize = 3;
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// Launches instances.
pub(super) struct Launcher {
    pub aws: Aws,
    pub client: Client,
    pub facts: Facts,
    pub templates: Arc<Templates>,
    pub addresses: Arc<Mutex<Addresses>>,
    pub known: Arc<KnownInstances>,
    pub market: Arc<Keeper>,
    pub teller: Teller,
    /// Ends what nobody is left for.
    pub ends: UnboundedSender<Arc<str>>,
    pub leads: Leads,
    pub sent: Sent,
}

/// Why a request has brought no answer of CreateFleet.
struct Unanswered {
    error: AwsError,
    /// Nothing was launched.
    is_sure: bool,
}

impl Launcher {
    /// Until nobody asks any more.
    pub async fn run(self: Arc<Self>, mut requests: UnboundedReceiver<Launch>) {
        while let Some(mut launches) = batch::next(&mut requests, batch::CREATE_FLEET).await {
            // the answer to the first request is the answer to the second
            launches.retain(|launch| self.sent.begin(&launch.uid));
            tokio::spawn(self.clone().launch(launches));
        }
    }

    async fn launch(self: Arc<Self>, launches: Vec<Launch>) {
        let (again, new): (Vec<Launch>, Vec<Launch>) =
            launches.into_iter().partition(|launch| self.earlier(launch).is_some());
        // who was never asked for waits for nobody
        futures::join!(self.buy_all(new, 1), async {
            let mut attempts: BTreeMap<u32, Vec<Launch>> = BTreeMap::new();
            for (attempt, launch) in self.not_found(again).await {
                attempts.entry(attempt).or_default().push(launch);
            }
            for (attempt, launches) in attempts {
                self.buy_all(launches, attempt).await;
            }
        });
    }

    async fn buy_all(&self, launches: Vec<Launch>, attempt: u32) {
        let found = batches(&launches);
        self.answer(found.answers);
        futures::stream::iter(found.batches).for_each_concurrent(None, |batch| self.buy(batch, attempt)).await;
    }

    /// The token that a claim had before.
    fn earlier(&self, launch: &Launch) -> Option<Token> {
        self.sent.token(&launch.uid).or_else(|| Token::parse(&launch.earlier.as_ref()?.token))
    }

    /// Looks for the instances of earlier attempts, and answers with them. What is left has none: it is asked for again, as a new attempt.
    async fn not_found(&self, launches: Vec<Launch>) -> Vec<(u32, Launch)> {
        let (nothing, mut launches): (Vec<Launch>, Vec<Launch>) =
            launches.into_iter().partition(|launch| self.sent.is_nothing(&launch.uid));
        for look in 0..LOOKS {
            if launches.is_empty() {
                break;
            }
            if look > 0 {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            launches = match self.look(launches).await {
                Ok(left) => left,
                Err((launches, reason)) => {
                    let error = LaunchError::Other(reason);
                    self.answer(launches.iter().map(|of| refusal(of.uid.clone(), error.clone())).collect());
                    Vec::new()
                }
            };
        }
        launches.extend(nothing);
        launches.into_iter().filter_map(|launch| Some((self.earlier(&launch)?.attempt + 1, launch))).collect()
    }

    /// Answers those that have instances; the others are left.
    async fn look(&self, launches: Vec<Launch>) -> Result<Vec<Launch>, (Vec<Launch>, String)> {
        let tokens: BTreeSet<Arc<str>> =
            launches.iter().filter_map(|launch| self.earlier(launch)).map(|token| token.to_string().into()).collect();
        let mut found: Vec<FoundInstance> = Vec::new();
        for filters in earlier::filters(&tokens) {
            match describe(&self.aws, &filters).await {
                Ok(instances) => found.extend(instances),
                Err(reason) => return Err((launches, reason)),
            }
        }
        let mut assigned: BTreeMap<Arc<str>, &FoundInstance> = BTreeMap::new();
        for token in &tokens {
            let of_token: Vec<FoundInstance> =
                found.iter().filter(|instance| instance.token() == Some(token)).cloned().collect();
            let said = launches.iter().filter_map(|launch| launch.earlier.as_ref()).find(|of| of.token == *token);
            let holders = self.sent.holders(token, said.map_or(&[], |of| &of.holders));
            let ids: BTreeMap<Arc<str>, String> =
                earlier::assign(&holders, &of_token).into_iter().map(|(uid, of)| (uid, of.id.clone())).collect();
            assigned.extend(ids.into_iter().filter_map(|(uid, id)| Some((uid, found.iter().find(|of| of.id == id)?))));
        }
        let (there, left): (Vec<Launch>, Vec<Launch>) =
            launches.into_iter().partition(|launch| assigned.contains_key(&launch.uid));
        let answer = |launch: &Launch| {
            let found = assigned[&launch.uid];
            if let Some(instance) = earlier::instance(launch, found) {
                return Answer::Launched { claim: launch.uid.clone(), result: Ok(Box::new(instance)) };
            }
            let _ = self.ends.send(earlier_id(found)); // nobody ends where the process does
            let reason = format!("{} is nothing that the claim can be any more: it is ended", found.id);
            refusal(launch.uid.clone(), LaunchError::Other(reason))
        };
        self.answer(there.iter().map(answer).collect());
        for found in assigned.values() {
            self.known.add(&found.id, KnownInstance { launched: Some(Instant::now()), ..KnownInstance::of(found) });
        }
        Ok(left)
    }

    /// Asks for a batch.
    async fn buy(&self, mut batch: Batch, attempt: u32) {
        let cluster = self.facts.now();
        let found = match templates(&cluster, &batch) {
            Ok(found) => found,
            Err(error) => return self.answer(batch.refused(&error)),
        };
        let subnets =
            || self.addresses.lock().unwrap_or_else(PoisonError::into_inner).of(&batch.template.status().subnets);
        let nobody = LaunchError::Other("the claim is gone".to_owned());
        let asked = loop {
            let asked = match request(&cluster, &batch, &found, &subnets(), attempt) {
                Ok(asked) => asked,
                Err(error) => return self.answer(batch.refused(&error)),
            };
            match self.write_token(&batch, &asked).await {
                Ok(gone) if gone.is_empty() => break asked,
                Ok(gone) => {
                    let (gone, left): (Vec<_>, Vec<_>) =
                        batch.claims.drain(..).partition(|claim| gone.contains(&claim.uid));
                    self.answer(gone.into_iter().map(|claim| refusal(claim.uid, nobody.clone())).collect());
                    batch.claims = left;
                }
                Err(reason) => return self.answer(batch.refused(&LaunchError::Other(reason))),
            }
            if batch.claims.is_empty() {
                return;
            }
        };
        let each = batch.addresses_each();
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).take(&asked, each);
        let (said, is_sure) = match self.send(&found, &asked).await {
            Ok(response) => {
                response.errors.iter().for_each(|failure| count_failure(&batch, &asked, failure));
                (answers(&batch, &asked, &found, &response, &subnets()), true)
            }
            Err(Unanswered { error, is_sure }) => {
                let failure = Failure { error, instance_type: None, subnet_id: None, zone: None, template: None };
                count_failure(&batch, &asked, &failure);
                (refused(&batch, &failure.error), is_sure)
            }
        };
        {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.settle(&asked, each, &said.landed);
            said.exhausted.iter().for_each(|subnet| addresses.exhaust(subnet));
        }
        if is_sure {
            let failed = |answer: &Answer| match answer {
                Answer::Launched { claim, result: Err(_) } => Some(claim.clone()),
                _ => None,
            };
            said.answers.iter().filter_map(failed).for_each(|claim| self.sent.nothing(&claim));
        }
        self.conclude(&asked, said);
    }

    /// Which claims are gone.
    async fn write_token(&self, batch: &Batch, asked: &FleetRequest) -> Result<BTreeSet<Arc<str>>, String> {
        let claims = batch.claims.iter().map(|claim| (claim.name.clone(), claim.uid.clone())).collect::<Vec<_>>();
        let profile = batch.template.status().instance_profile.as_deref().unwrap_or_default();
        let gone = tokens::write(&self.client, &claims, &asked.token, profile).await?;
        if gone.is_empty() {
            let Some(token) = Token::parse(&asked.token) else { return Err(format!("{} is no token", asked.token)) };
            self.sent.note(claims.iter().map(|(_, uid)| uid), &token);
        }
        Ok(gone)
    }

    /// Launch templates first. One that is not there although it was is made again by the next attempt: to this token EC2 would give the
    /// same answer again.
    async fn send(&self, found: &[Templated], asked: &FleetRequest) -> Result<FleetResponse, Unanswered> {
        let unsent = |error| Unanswered { error, is_sure: true };
        if !(self.leads)() {
            return Err(unsent(AwsError::new("NotSent", "another process acts now")));
        }
        self.ensure(found).await.map_err(unsent)?;
        let response = create(&self.aws, asked).await;
        let missing = match &response {
            Ok(response) => response.errors.iter().map(|of| &of.error).find(|error| error.is_launch_template_missing()),
            Err(error) => Some(error).filter(|error| error.is_launch_template_missing()),
        };
        if missing.is_some() {
            for of in found {
                self.templates.forget(&of.template.name);
            }
        }
        response.map_err(|error| Unanswered { is_sure: error.is_of_request(), error })
    }

    async fn ensure(&self, found: &[Templated]) -> Result<(), AwsError> {
        let each = found.iter().map(|of| self.templates.ensure(&self.aws, &of.template, Timestamp::now()));
        futures::future::try_join_all(each).await.map(drop)
    }

    /// Tells what became of it.
    fn conclude(&self, asked: &FleetRequest, said: Answers) {
        let region = self.aws.region.clone();
        for id in said.surplus {
            tracing::warn!(
                controller = "nodeclaim.lifecycle",
                instance = id,
                "ending an instance that no claim is left for"
            );
            let zone = asked.overrides().next().map_or(&*region, |(_, over)| over.zone.as_str()).to_owned();
            let _ = self.ends.send(crate::cloud::ec2::listing::provider_id(&zone, &id)); // nobody ends where the process does
        }
        if !said.unavailable.is_empty() {
            tell(&self.teller, Event::Cloud(Answer::Unavailable(said.unavailable)));
        }
        for answer in &said.answers {
            if let Answer::Launched { result: Ok(instance), .. } = answer {
                self.remember(instance, &asked.tags);
            }
        }
        self.answer(said.answers);
    }

    /// What was launched has taken of its capacity reservation, also where it was found only afterwards.
    fn answer(&self, answers: Vec<Answer>) {
        self.market.take_reserved(&reserved(&answers));
        for answer in answers {
            if let Answer::Launched { claim, result } = &answer {
                match result {
                    Ok(instance) => self.sent.launched(claim, &instance.provider_id),
                    // nothing was launched, and the claim goes
                    Err(LaunchError::InsufficientCapacity(_) | LaunchError::NodeClassNotReady(_)) => {
                        self.sent.forget(claim);
                    }
                    Err(LaunchError::Other(_)) => {}
                }
                self.sent.end(claim);
            }
            tell(&self.teller, Event::Cloud(answer));
        }
    }

    /// As EC2 would list it.
    fn remember(&self, instance: &Instance, tags: &Tags) {
        if let Some((_, id)) = crate::cloud::ec2::listing::parse_provider_id(&instance.provider_id) {
            let offering = OfferingName::of(&instance.kind, &instance.offering);
            self.known.add(
                id,
                KnownInstance {
                    provider_id: instance.provider_id.clone(),
                    offering,
                    tags: tags.clone(),
                    launched: Some(Instant::now()),
                },
            );
        }
    }
}

/// A pool that could not be used, or the whole fleet.
fn count_failure(batch: &Batch, asked: &FleetRequest, failure: &Failure) {
    let zone = failure.zone.clone().unwrap_or_default();
    let subnets = &batch.template.status().subnets;
    let zone_id = subnets.iter().find(|subnet| subnet.zone == zone).and_then(|subnet| subnet.zone_id.clone());
    counter!("karpenter_cloudprovider_instance_launch_failures_total", "zone" => zone,
        "zone_id" => zone_id.unwrap_or_default(), "capacity_type" => asked.capacity.name(),
        "reason" => failure.error.code.clone())
    .increment(1);
}

/// How many were launched into each capacity reservation, by id.
fn reserved(answers: &[Answer]) -> BTreeMap<Arc<str>, u32> {
    let mut reserved = BTreeMap::new();
    for answer in answers {
        if let Answer::Launched { result: Ok(instance), .. } = answer
            && let Some(reservation) = &instance.offering.reservation
        {
            *reserved.entry(reservation.id.clone()).or_default() += 1;
        }
    }
    reserved
}

fn earlier_id(of: &FoundInstance) -> Arc<str> {
    crate::cloud::ec2::listing::provider_id(&of.zone, &of.id)
}

fn refusal(claim: Arc<str>, error: LaunchError) -> Answer {
    Answer::Launched { claim, result: Err(error) }
}
