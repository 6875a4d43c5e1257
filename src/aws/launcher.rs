//! From launches to instances: alike ones in one call, launch templates made first, tokens written to the claims before anything is
//! bought, and claims that may have been asked for before looked up before anything is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use metrics::counter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::batch;
use super::connect::Aws;
use super::facts::Facts;
use super::fleet::create;
use super::instances::{KnownInstance, KnownInstances, describe};
use super::templates::Templates;
use super::tokens;
use super::told::{Teller, tell};
use crate::cloud::ec2::errors::AwsError;
use crate::cloud::ec2::fleet::earlier::{self, Holder};
use crate::cloud::ec2::fleet::{
    Addresses, Answers, Batch, FleetRequest, FleetResponse, Templated, Token, addresses_each, answers, batches,
    refused, request, templates,
};
use crate::cloud::ec2::listing::FoundInstance;
use crate::cloud::{Answer, Instance, Launch, LaunchError, OfferingName};
use crate::controller::Event;

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
    pub teller: Teller,
    /// Ends what nobody is left for.
    pub ends: UnboundedSender<Arc<str>>,
    /// The tokens that this process has sent, by the uid of the claim: the watch may not have shown them yet.
    pub sent: Mutex<BTreeMap<Arc<str>, Token>>,
}

impl Launcher {
    /// Until nobody asks any more.
    pub async fn run(self: Arc<Self>, mut requests: UnboundedReceiver<Launch>) {
        while let Some(launches) = batch::next(&mut requests, batch::CREATE_FLEET).await {
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
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).get(&launch.uid).cloned();
        sent.or_else(|| Token::parse(&launch.earlier.as_ref()?.token))
    }

    /// Looks for the instances of earlier attempts, and answers with them. What is left has none: it is asked for again, as a new attempt.
    async fn not_found(&self, mut launches: Vec<Launch>) -> Vec<(u32, Launch)> {
        for look in 0..LOOKS {
            if launches.is_empty() {
                return Vec::new();
            }
            if look > 0 {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            launches = match self.look(launches).await {
                Ok(left) => left,
                Err((launches, reason)) => {
                    let error = LaunchError::Other(reason);
                    self.answer(launches.iter().map(|of| refusal(of, error.clone())).collect());
                    return Vec::new();
                }
            };
        }
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
            let holders = self.holders(token, &launches);
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
            refusal(launch, LaunchError::Other(reason))
        };
        self.answer(there.iter().map(answer).collect());
        Ok(left)
    }

    /// All claims that have a token, as the launches say, or as this process has sent it.
    fn holders(&self, token: &str, launches: &[Launch]) -> Vec<Holder> {
        let said = launches.iter().filter_map(|launch| launch.earlier.as_ref()).find(|of| &*of.token == token);
        if let Some(earlier) = said {
            return earlier.holders.to_vec();
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = sent.iter().filter(|(_, sent)| sent.to_string() == token);
        of_token.map(|(uid, _)| Holder { uid: uid.clone(), provider_id: None }).collect()
    }

    /// Asks for a batch.
    async fn buy(&self, batch: Batch, attempt: u32) {
        let cluster = self.facts.now();
        let found = match templates(&cluster, &batch) {
            Ok(found) => found,
            Err(error) => return self.answer(batch.refused(&error)),
        };
        let subnets =
            || self.addresses.lock().unwrap_or_else(PoisonError::into_inner).of(&batch.template.status().subnets);
        let asked = match request(&cluster, &batch, &found, &subnets(), attempt) {
            Ok(asked) => asked,
            Err(error) => return self.answer(batch.refused(&error)),
        };
        if let Err(reason) = self.write_token(&batch, &asked, attempt).await {
            return self.answer(batch.refused(&LaunchError::Other(reason)));
        }
        let each = addresses_each(batch.types.iter());
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).take(&asked, each);
        let said = match self.send(&found, &asked).await {
            Ok(response) => answers(&batch, &asked, &found, &response, &subnets()),
            Err(error) => refused(&batch, &error),
        };
        {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses.settle(&asked, each, &said.landed);
            said.exhausted.iter().for_each(|subnet| addresses.exhaust(subnet));
        }
        self.conclude(&asked, said);
    }

    async fn write_token(&self, batch: &Batch, asked: &FleetRequest, attempt: u32) -> Result<(), String> {
        let claims = batch.claims.iter().map(|claim| (claim.name.clone(), claim.uid.clone())).collect::<Vec<_>>();
        tokens::write(&self.client, &claims, &asked.token).await?;
        let Some(token) = Token::parse(&asked.token) else { return Err(format!("{} is no token", asked.token)) };
        debug_assert_eq!(token.attempt, attempt);
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.extend(claims.into_iter().map(|(_, uid)| (uid, token.clone())));
        Ok(())
    }

    /// Launch templates first. One that is not there although it was is made again by the next attempt: to this token EC2 would give the
    /// same answer again.
    async fn send(&self, found: &[Templated], asked: &FleetRequest) -> Result<FleetResponse, AwsError> {
        self.ensure(found).await?;
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
        response
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
        for name in &said.unavailable {
            counter!("karpenter_cloudprovider_instance_launch_failures_total", "zone" => name.zone.to_string(),
                "capacity_type" => name.capacity_type.label(), "reason" => "InsufficientInstanceCapacity")
            .increment(1);
        }
        if !said.unavailable.is_empty() {
            tell(&self.teller, Event::Cloud(Answer::Unavailable(said.unavailable)));
        }
        self.answer(said.answers);
    }

    fn answer(&self, answers: Vec<Answer>) {
        for answer in answers {
            if let Answer::Launched { claim, result } = &answer {
                let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                match result {
                    Ok(instance) => {
                        self.remember(instance);
                        sent.remove(claim);
                    }
                    // nothing was launched, and the claim goes
                    Err(LaunchError::InsufficientCapacity(_) | LaunchError::NodeClassNotReady(_)) => {
                        sent.remove(claim);
                    }
                    Err(LaunchError::Other(_)) => {}
                }
            }
            tell(&self.teller, Event::Cloud(answer));
        }
    }

    fn remember(&self, instance: &Instance) {
        if let Some((_, id)) = crate::cloud::ec2::listing::parse_provider_id(&instance.provider_id) {
            let offering = OfferingName::of(&instance.kind, &instance.offering);
            self.known.add(
                id,
                KnownInstance {
                    provider_id: instance.provider_id.clone(),
                    offering,
                    tags: None,
                    launched: Some(Instant::now()),
                },
            );
        }
    }
}

fn earlier_id(of: &FoundInstance) -> Arc<str> {
    crate::cloud::ec2::listing::provider_id(&of.zone, &of.id)
}

fn refusal(launch: &Launch, error: LaunchError) -> Answer {
    Answer::Launched { claim: launch.uid.clone(), result: Err(error) }
}
