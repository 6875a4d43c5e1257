//! The cloud as the controller asks it: launches, lists and ends, and the loops that go on by themselves.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tracing::warn;

use super::Leads;
use super::classes::{ClassSettings, Classes, Parameters, tidy_profiles};
use super::connect::Aws;
use super::facts::Facts;
use super::instances::{KnownInstances, describe};
use super::launcher::{Launcher, Sent};
use super::market::{Keeper, MarketSettings};
use super::queue::Queue;
use super::templates::Templates;
use super::terminate::Terminator;
use super::told::{Teller, tell};
use super::{health, tagging};
use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::node_claim::NodeClaim;
use crate::cloud::ec2::listing::listed;
use crate::cloud::ec2::tags::filters_of_instances;
use crate::cloud::{Answer, Launch, Request};
use crate::controller::Event;

/// Launch templates are looked through so often for those that nobody needs.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// The reference's `instanceprofile.garbagecollection`, which looks at once when it begins, too.
const PROFILES_EVERY: Duration = Duration::from_secs(30 * 60);

/// What the loops are told.
#[derive(Debug, Clone)]
pub struct Ec2Settings {
    pub classes: ClassSettings,
    pub market: MarketSettings,
    /// `INTERRUPTION_QUEUE`; `None`: nobody is told.
    pub queue: Option<String>,
}

/// EC2. Its loops end with this value.
pub struct Ec2 {
    aws: Aws,
    facts: Facts,
    known: Arc<KnownInstances>,
    teller: Teller,
    launches: UnboundedSender<Launch>,
    ends: UnboundedSender<Arc<str>>,
    /// Held for as long as they are to run.
    _loops: JoinSet<()>,
}

impl Ec2 {
    /// Begins: prices are asked for by every process, everything else by the one that acts. Must be called in the runtime.
    #[must_use]
    pub fn start(
        (aws, client, facts): (Aws, Client, Facts),
        market: Arc<Keeper>,
        settings: Ec2Settings,
        teller: Teller,
        leads: Leads,
    ) -> Self {
        aws.gate.follow(leads.clone());
        let known = Arc::new(KnownInstances::default());
        let templates = Arc::new(Templates::default());
        let addresses = Arc::new(Mutex::default());
        let (launches, launching) = unbounded_channel();
        let (ends, ending) = unbounded_channel();
        let launcher = Launcher {
            aws: aws.clone(),
            client: client.clone(),
            facts: facts.clone(),
            templates: templates.clone(),
            addresses: addresses.clone(),
            known: known.clone(),
            market: market.clone(),
            teller: teller.clone(),
            ends: ends.clone(),
            leads: leads.clone(),
            sent: Sent::default(),
        };
        let classes = Classes {
            aws: aws.clone(),
            client: client.clone(),
            facts: facts.clone(),
            settings: settings.classes,
            addresses,
            market: market.clone(),
            leads: leads.clone(),
            parameters: Parameters::default(),
            templates: templates.clone(),
        };
        let mut loops = JoinSet::new();
        loops.spawn(Arc::new(launcher).run(launching));
        loops.spawn(Arc::new(Terminator::new(aws.clone(), market.clone(), teller.clone(), leads.clone())).run(ending));
        loops.spawn(async move { market.run(settings.market).await });
        loops.spawn(async move { classes.run().await });
        loops.spawn(tidy(aws.clone(), client.clone(), facts.clone(), templates, leads.clone()));
        if !settings.classes.is_isolated {
            loops.spawn(tidy_instance_profiles(aws.clone(), client.clone(), facts.clone(), leads.clone()));
        }
        loops.spawn(health::watch(aws.clone(), known.clone(), teller.clone(), leads.clone()));
        loops.spawn(tagging::keep(aws.clone(), client.clone(), facts.clone(), known.clone(), leads.clone()));
        if let Some(name) = settings.queue {
            let queue = Queue { aws: aws.clone(), name, known: known.clone(), teller: teller.clone(), leads };
            loops.spawn(Arc::new(queue).run());
        }
        let (kept, asked) = (facts.clone(), aws.clone());
        loops.spawn(async move { kept.keep(&asked, &client).await });
        Self { aws, facts, known, teller, launches, ends, _loops: loops }
    }

    /// Answers with an event, sooner or later. What nobody takes any more is not answered: the process is about to end.
    pub fn ask(&self, request: Request) {
        match request {
            Request::Launch(launch) => drop(self.launches.send(launch)),
            Request::Terminate { provider_id, .. } => drop(self.ends.send(provider_id)),
            Request::List => {
                let (aws, cluster) = (self.aws.clone(), self.facts.now());
                let (known, teller) = (self.known.clone(), self.teller.clone());
                tokio::spawn(async move {
                    let found = describe(&aws, &filters_of_instances(&cluster)).await;
                    if let Ok(found) = &found {
                        known.list(found);
                    }
                    tell(&teller, Event::Cloud(Answer::Listed(found.map(|found| listed(&found)))));
                });
            }
        }
    }
}

/// Does not end.
async fn tidy(aws: Aws, client: Client, facts: Facts, templates: Arc<Templates>, leads: Leads) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        if !leads() {
            continue;
        }
        let classes: Api<EC2NodeClass> = Api::all(client.clone());
        let names: BTreeSet<String> = match classes.list_metadata(&ListParams::default()).await {
            Ok(listed) => listed.items.iter().map(ResourceExt::name_any).collect(),
            Err(error) => {
                warn!(controller = "launchtemplate", "EC2NodeClasses cannot be listed: {error}");
                continue;
            }
        };
        if let Err(reason) = templates.tidy(&aws, &facts.now(), &names, Timestamp::now()).await {
            warn!(controller = "launchtemplate", "{reason}");
        }
    }
}

/// Does not end.
async fn tidy_instance_profiles(aws: Aws, client: Client, facts: Facts, leads: Leads) {
    let (classes, claims) = (Api::<EC2NodeClass>::all(client.clone()), Api::<NodeClaim>::all(client));
    loop {
        if !leads() {
            tokio::time::sleep(TIDY_EVERY).await;
            continue;
        }
        let all = ListParams::default();
        let told = match futures::try_join!(classes.list(&all), claims.list(&all)) {
            Ok((classes, claims)) => {
                tidy_profiles(&aws, &facts.now(), &classes.items, &claims.items, Timestamp::now()).await.map(drop)
            }
            Err(error) => Err(format!("EC2NodeClasses and NodeClaims cannot be listed: {error}")),
        };
        if let Err(reason) = told {
            warn!(controller = "instanceprofile.garbagecollection", "{reason}");
        }
        tokio::time::sleep(PROFILES_EVERY).await;
    }
}
