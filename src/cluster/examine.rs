//! What a live cluster says of itself, for the doctor: nothing is written but questions about rights, which leave nothing behind.

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Client, Error};

use super::connect::{ConnectError, Connection, Progress, Target};
use super::read::{NEEDED, Reading, read_connected, reason};
use crate::api::crds::crds;
use crate::doctor::server::{APPS, InstalledKind, LEASE, Provisioner, Right, Server};
use crate::observe::objects::{KnownKind, decided_by};
use crate::placement::Mode;

/// Whose rights are asked for.
#[derive(Debug, Clone)]
pub enum Account {
    /// Of whoever asks: to plan, and to install the charts.
    Own,
    /// Of a ServiceAccount of the namespace, to be a controller that places pods so.
    ServiceAccount(String, Mode),
}

/// A right that is asked for: (verb, group, resource, whether nothing can be done without it).
pub type Wanted = (&'static str, &'static str, String, bool);

/// (verb, group, resource) of an installation with helm.
const TO_INSTALL: [(&str, &str, &str); 7] = [
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("create", "admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ("create", "apps", "deployments"),
    ("create", "", "serviceaccounts"),
    ("create", "", "secrets"),
];

/// Of a controller that acts.
const TO_ACT: [(&str, &str, &str); 17] = [
    ("create", "karpenter.sh", "nodeclaims"),
    ("delete", "karpenter.sh", "nodeclaims"),
    ("patch", "karpenter.sh", "nodeclaims"),
    ("patch", "karpenter.sh", "nodeclaims/status"),
    ("patch", "karpenter.sh", "nodepools"),
    ("patch", "karpenter.sh", "nodepools/status"),
    ("patch", "karpenter.k8s.aws", "ec2nodeclasses"),
    ("patch", "karpenter.k8s.aws", "ec2nodeclasses/status"),
    ("delete", "", "nodes"),
    ("patch", "", "nodes"),
    ("delete", "", "pods"),
    ("create", "", "pods/eviction"),
    ("list", "coordination.k8s.io", "leases"),
    ("create", "coordination.k8s.io", "leases"),
    ("patch", "coordination.k8s.io", "leases"),
    ("list", "storage.k8s.io", "volumeattachments"),
    ("watch", "storage.k8s.io", "volumeattachments"),
];

/// Without these it acts all the same, and something is not said, or is refused where owners' finalizers are looked at.
const TO_TELL: [(&str, &str, &str); 6] = [
    ("create", "events.k8s.io", "events"),
    ("patch", "events.k8s.io", "events"),
    ("patch", "karpenter.sh", "nodeoverlays/status"),
    ("patch", "autoscaling.x-k8s.io", "capacitybuffers/status"),
    ("update", "karpenter.sh", "nodeclaims/finalizers"),
    ("update", "karpenter.sh", "nodepools/finalizers"),
];

/// What a controller has to be allowed. `plays`: it makes nodes without machines (kwok).
#[must_use]
pub fn of_controller(mode: Mode, plays: bool) -> Vec<Wanted> {
    let mut wanted = to_read(&["list", "watch"]);
    let placing = match mode {
        Mode::Reserve => Some(("patch", "", "pods")),
        Mode::Nominate => Some(("patch", "", "pods/status")),
        Mode::Observe => None,
    };
    let playing = plays.then_some(("create", "", "nodes"));
    let needed = TO_ACT.into_iter().chain(placing).chain(playing);
    wanted.extend(needed.map(|(verb, group, resource)| (verb, group, resource.to_owned(), true)));
    wanted.extend(TO_TELL.map(|(verb, group, resource)| (verb, group, resource.to_owned(), false)));
    wanted
}

/// What decisions are made from.
fn to_read(verbs: &[&'static str]) -> Vec<Wanted> {
    let of = |kind: &'static KnownKind| {
        let gvk = GroupVersionKind::gvk(kind.group, kind.version, kind.name);
        let plural = ApiResource::from_gvk(&gvk).plural;
        verbs.iter().map(move |verb| (*verb, kind.group, plural.clone(), NEEDED.contains(&kind.name)))
    };
    decided_by().flat_map(of).collect()
}

/// Reads what plans read, and asks for the rest. `namespace`: where the controller is, or will be.
///
/// # Errors
/// No connection, or one that nothing could be read from.
pub fn examine(
    target: &Target,
    namespace: &str,
    account: &Account,
    progress: &dyn Fn(Progress),
) -> Result<(Reading, Server), ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConnectError::Kubeconfig(format!("failed to start: {error}")))?;
    runtime.block_on(async {
        let connection = target.connect(progress).await?;
        let reading = read_connected(&connection, progress).await?;
        let Connection { client, context } = &connection;
        let fault = |error: &Error| ConnectError::Client { context: context.clone(), reason: reason(error) };
        let version = client.apiserver_version().await.map_err(|error| fault(&error))?.git_version;
        let (rights, not_asked) = match rights(client, namespace, account, plays(&reading)).await {
            Ok(rights) => (rights, None),
            Err(error) => (Vec::new(), Some(reason(&error))),
        };
        let server = Server {
            version,
            kinds: kinds(client).await,
            account: match account {
                Account::Own => "you".to_owned(),
                Account::ServiceAccount(name, _) => user(namespace, name),
            },
            rights,
            not_asked,
            provisioners: provisioners(client).await,
            holders: holders(client, namespace).await,
        };
        Ok((reading, server))
    })
}

fn user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

async fn kinds(client: &Client) -> Option<Vec<InstalledKind>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let ours = crds();
    let asked = join_all(ours.iter().map(|kind| api.get_opt(kind.metadata.name.as_deref().unwrap_or_default()))).await;
    let mut found = Vec::new();
    for (wanted, installed) in ours.iter().zip(asked) {
        let installed = installed.ok()?;
        let version = wanted.spec.versions.first().map(|version| &version.name);
        let of = |map: Option<&std::collections::BTreeMap<String, String>>, key: &str| {
            map.and_then(|map| map.get(key).cloned())
        };
        let annotations = installed.as_ref().and_then(|kind| kind.metadata.annotations.as_ref());
        found.push(InstalledKind {
            name: wanted.metadata.name.clone().unwrap_or_default(),
            is_installed: installed.is_some(),
            is_served: installed
                .iter()
                .flat_map(|kind| &kind.spec.versions)
                .any(|of| Some(&of.name) == version && of.served),
            release: of(annotations, "meta.helm.sh/release-name"),
            is_kept: of(annotations, "helm.sh/resource-policy").as_deref() == Some("keep"),
        });
    }
    Some(found)
}

async fn provisioners(client: &Client) -> Option<Vec<Provisioner>> {
    let api: Api<Deployment> = Api::all(client.clone());
    let wanted = ListParams::default().labels(&format!("app.kubernetes.io/name in ({})", APPS.join(",")));
    let found = api.list(&wanted).await.ok()?;
    Some(found.iter().filter_map(Provisioner::of).collect())
}

/// Nodes without machines are made where a class of them is.
fn plays(reading: &Reading) -> bool {
    reading.objects.iter().any(|object| object.value["kind"] == "KWOKNodeClass")
}

/// (namespace, identity) of Leases that are renewed: as for the controller, in whatever namespace, or where only that may be read.
async fn holders(client: &Client, namespace: &str) -> Vec<(String, String)> {
    let named = ListParams::default().fields(&format!("metadata.name={LEASE}"));
    let leases = if let Ok(leases) = Api::<Lease>::all(client.clone()).list(&named).await {
        leases.items
    } else {
        let lease = Api::<Lease>::namespaced(client.clone(), namespace).get_opt(LEASE).await;
        lease.ok().flatten().into_iter().collect()
    };
    let now = jiff::Timestamp::now().as_second();
    let held = leases.into_iter().filter_map(|lease| {
        let spec = lease.spec?;
        let since = now - spec.renew_time?.0.as_second();
        let is_held = since <= i64::from(spec.lease_duration_seconds.unwrap_or(15));
        let holder = spec.holder_identity.filter(|holder| is_held && !holder.is_empty())?;
        Some((lease.metadata.namespace.unwrap_or_default(), holder))
    });
    held.collect()
}

/// Every right that the account is to have, and whether it has it.
async fn rights(client: &Client, namespace: &str, account: &Account, plays: bool) -> Result<Vec<Right>, Error> {
    let wanted = match account {
        Account::Own => {
            let install = TO_INSTALL.map(|(verb, group, resource)| (verb, group, resource.to_owned(), false));
            [to_read(&["list"]), install.to_vec()].concat()
        }
        Account::ServiceAccount(_, mode) => of_controller(*mode, plays),
    };
    let asked = wanted.into_iter().map(async |(verb, group, resource, is_needed)| {
        let is_allowed = ask(client, namespace, account, (verb, group, &resource)).await?;
        Ok(Right { verb, group, resource, is_needed, is_allowed })
    });
    join_all(asked).await.into_iter().collect()
}

async fn ask(
    client: &Client,
    namespace: &str,
    account: &Account,
    (verb, group, resource): (&str, &str, &str),
) -> Result<bool, Error> {
    let (resource, subresource) =
        resource.split_once('/').map_or((resource, None), |(of, sub)| (of, Some(sub.to_owned())));
    let is_local = ["deployments", "serviceaccounts", "secrets", "leases"].contains(&resource) && verb != "list";
    let asked = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        namespace: is_local.then(|| namespace.to_owned()),
        name: (resource == "leases" && verb != "create").then(|| LEASE.to_owned()),
        ..ResourceAttributes::default()
    };
    let asking = PostParams::default();
    let status: Option<SubjectAccessReviewStatus> = match account {
        Account::Own => {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(asked), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            Api::<SelfSubjectAccessReview>::all(client.clone()).create(&asking, &review).await?.status
        }
        Account::ServiceAccount(name, _) => {
            let groups = vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ];
            let spec = SubjectAccessReviewSpec {
                user: Some(user(namespace, name)),
                groups: Some(groups),
                resource_attributes: Some(asked),
                ..Default::default()
            };
            let review = SubjectAccessReview { spec, ..Default::default() };
            Api::<SubjectAccessReview>::all(client.clone()).create(&asking, &review).await?.status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}
