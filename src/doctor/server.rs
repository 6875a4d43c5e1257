//! What a cluster says of itself: versions, kinds and whose they are, rights, who provisions.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;

use super::{Check, Cluster, Level, some};
use crate::api::labels;
use crate::observe::is_launchable;
use crate::observe::snapshot::NodePool;

/// What only a live cluster knows.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// `v1.34.2`
    pub version: String,
    /// Of our CustomResourceDefinitions; `None` where they may not be read.
    pub kinds: Option<Vec<InstalledKind>>,
    /// Whose rights were asked for.
    pub account: String,
    /// Rights that were asked for.
    pub rights: Vec<Right>,
    /// Why none could be asked for.
    pub not_asked: Option<String>,
    /// Deployments of provisioners; `None` where they may not be listed.
    pub provisioners: Option<Vec<Provisioner>>,
    /// Who holds a Lease of provisioners: (its namespace, their identity).
    pub holders: Vec<(String, String)>,
}

/// A CustomResourceDefinition.
#[derive(Debug, Clone)]
pub struct InstalledKind {
    /// `nodepools.karpenter.sh`
    pub name: String,
    pub is_installed: bool,
    /// The version that we need is served.
    pub is_served: bool,
    /// The release of helm that has it.
    pub release: Option<String>,
    /// helm keeps it when that release goes.
    pub is_kept: bool,
}

/// A verb on a kind of resource.
#[derive(Debug, Clone)]
pub struct Right {
    pub verb: &'static str,
    pub group: &'static str,
    /// With its subresource: `pods/eviction`.
    pub resource: String,
    /// Without it nothing can be done; else something is not done.
    pub is_needed: bool,
    pub is_allowed: bool,
}

/// A Deployment of Karpenter or Packwright.
#[derive(Debug, Clone)]
pub struct Provisioner {
    pub namespace: String,
    pub name: String,
    /// `karpenter` or `packwright`
    pub app: String,
    pub image: String,
    pub replicas: i32,
    pub variables: BTreeMap<String, String>,
}

/// The Deployments that are looked at, by their label `app.kubernetes.io/name`.
pub const APPS: [&str; 2] = ["karpenter", "packwright"];
/// By which provisioners agree on which of them acts.
pub const LEASE: &str = "karpenter-leader-election";
const APP: &str = "app.kubernetes.io/name";

/// Minor versions of Kubernetes that are tested.
const OLDEST: u32 = 34;
const NEWEST: u32 = 37;

/// The minor version of Karpenter whose kinds ours are: 1.14.
const KINDS_OF_KARPENTER: u32 = 14;

impl Provisioner {
    /// `None`: it is another Deployment.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let app = deployment.metadata.labels.as_ref()?.get(APP).filter(|app| APPS.contains(&app.as_str()))?;
        let spec = &deployment.spec;
        let pod = spec.template.spec.as_ref()?;
        let container = pod.containers.first()?;
        let variables = container.env.iter().flatten().filter_map(|of| Some((of.name.clone(), of.value.clone()?)));
        Some(Self {
            namespace: deployment.metadata.namespace.clone().unwrap_or_default(),
            name: deployment.metadata.name.clone().unwrap_or_default(),
            app: app.clone(),
            image: container.image.clone().unwrap_or_default(),
            replicas: spec.replicas.unwrap_or(1),
            variables: variables.collect(),
        })
    }

    fn object(&self) -> String {
        format!("Deployment {}/{}", self.namespace, self.name)
    }

    /// The tag of its image, as a version.
    fn version(&self) -> Option<&str> {
        let image = self.image.split('@').next()?;
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'))?;
        Some(tag.trim_start_matches('v'))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Of a live cluster, or as far as manifests have them.
fn provisioners(cluster: &Cluster) -> Vec<Provisioner> {
    match cluster.server {
        Some(server) => server.provisioners.clone().unwrap_or_default(),
        None => cluster.objects.deployments.values().filter_map(|of| Provisioner::of(&of.object)).collect(),
    }
}

fn minor(version: &str) -> Option<u32> {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    (major == "1").then(|| digits.parse().ok())?
}

pub(super) fn versions(cluster: &Cluster, mut check: Check) {
    let range = format!("1.{OLDEST} to 1.{NEWEST}");
    if let Some(server) = cluster.server {
        match minor(&server.version) {
            Some(minor) if minor < OLDEST => check.find(
                Level::Error,
                "",
                format!("Kubernetes is {}: {range} are tested", server.version),
                "upgrade the control plane first",
            ),
            Some(minor) if minor > NEWEST => check.find(
                Level::Warning,
                "",
                format!("Kubernetes is {}, newer than what is tested ({range})", server.version),
                "look for a newer Packwright",
            ),
            _ => {}
        }
    }
    for of in provisioners(cluster).iter().filter(|of| of.app == "karpenter") {
        let Some(version) = of.version() else { continue };
        if version.starts_with("0.") {
            let says = format!("Karpenter is {version}: it has the kinds of before v1");
            check.find(
                Level::Error,
                of.object(),
                says,
                "upgrade Karpenter to 1.0 or newer first, as its own guide says",
            );
        } else if minor(version).is_some_and(|minor| minor > KINDS_OF_KARPENTER) {
            let says = format!(
                "Karpenter is {version}, and our kinds are those of 1.{KINDS_OF_KARPENTER}: fields that came since are dropped when \
                 an object is written"
            );
            check.find(
                Level::Warning,
                of.object(),
                says,
                "look for fields that findings of input do not know, or for a newer Packwright",
            );
        }
    }
    let Some(server) = cluster.server else {
        let says = "not looked at, and neither are kinds, rights and provisioner: manifests do not say it";
        let remedy = format!("packwright doctor --context NAME looks at a cluster; Kubernetes {range} are tested");
        return check.find(Level::Note, "", says, remedy);
    };
    check.or_well(format!("Kubernetes {}", server.version));
}

pub(super) fn kinds(cluster: &Cluster, mut check: Check) {
    const INSTALL: &str =
        "helm upgrade --install packwright-crd charts/packwright-crd --namespace kube-system --take-ownership";
    let Some(kinds) = cluster.server.and_then(|server| server.kinds.as_ref()) else {
        let says = "CustomResourceDefinitions may not be read: whose they are is not known";
        return check.find(Level::Warning, "", says, "ask with the rights of an administrator");
    };
    let object = |of: &InstalledKind| format!("CustomResourceDefinition {}", of.name);
    // who has no Packwright yet is to install them with it
    let is_before = !provisioners(cluster).iter().any(|of| of.app == "packwright");
    let missing: Vec<String> = kinds.iter().filter(|of| !of.is_installed).map(|of| of.name.clone()).collect();
    if is_before && !missing.is_empty() {
        let says = format!("CustomResourceDefinitions that are not installed yet: {}", some(&missing));
        check.find(Level::Note, "", says, INSTALL);
    }
    for of in kinds {
        if !of.is_installed {
            if !is_before {
                check.find(Level::Error, object(of), "is not installed", INSTALL);
            }
        } else if !of.is_served {
            check.find(Level::Error, object(of), "is installed without the version that is read", INSTALL);
        } else if let Some(release) = of.release.as_ref().filter(|_| !of.is_kept) {
            let says = format!("belongs to the release {release}, and goes with it: every node would go too");
            check.find(
                Level::Warning,
                object(of),
                says,
                format!("never uninstall {release}; docs/moving.md has the steps: {INSTALL}"),
            );
        }
    }
    check.or_well(format!("all {} are installed, and no release takes them with it", kinds.len()));
}

pub(super) fn rights(cluster: &Cluster, mut check: Check) {
    let Some(server) = cluster.server else { return };
    if let Some(reason) = &server.not_asked {
        let says = format!("what {} may do cannot be asked: {reason}", server.account);
        return check.find(Level::Warning, "", says, "ask with the rights of an administrator");
    }
    let named = |of: &&Right| {
        let group = if of.group.is_empty() { String::new() } else { format!(".{}", of.group) };
        format!("{} {}{group}", of.verb, of.resource)
    };
    for (is_needed, level) in [(true, Level::Error), (false, Level::Warning)] {
        let denied = server.rights.iter().filter(|of| of.is_needed == is_needed && !of.is_allowed);
        let denied: Vec<String> = denied.map(|of| named(&of)).collect();
        if !denied.is_empty() {
            let says = format!("{} may not: {}", server.account, some(&denied));
            check.find(
                level,
                "",
                says,
                "the chart's ClusterRoles have these rights; examples/reader.yaml those of planning",
            );
        }
    }
    check.or_well(format!("{} may do all of {} things", server.account, server.rights.len()));
}

pub(super) fn provisioner(cluster: &Cluster, mut check: Check) {
    let Some(server) = cluster.server else { return };
    let Some(provisioners) = &server.provisioners else {
        return check.find(
            Level::Warning,
            "",
            "Deployments may not be listed: who provisions is not known",
            "ask with more rights",
        );
    };
    for of in provisioners.iter().filter(|of| of.app == "karpenter" && of.replicas > 0) {
        let version = of.version().map_or_else(String::new, |version| format!(" {version}"));
        let says = format!("Karpenter{version} provisions: beside it Packwright waits for the Lease, or is a shadow");
        check.find(Level::Note, of.object(), says, "docs/moving.md has the steps from one to the other");
    }
    for (namespace, holder) in &server.holders {
        if !provisioners.iter().any(|of| holder.starts_with(&of.name)) {
            let says = format!("the Lease {namespace}/{LEASE} is held by {holder}, which no Deployment here is");
            check.find(Level::Warning, "", says, "find that process: two provisioners wait for one another");
        }
    }
    check.or_well("no other provisioner runs");
}

pub(super) fn queue(cluster: &Cluster, mut check: Check) {
    let buys = |pool: &&NodePool| pool.unusable.is_none() && is_launchable(pool) && allows_spot(pool);
    let spot: Vec<String> =
        cluster.snapshot.node_pools.iter().filter(buys).map(|pool| format!("NodePool {}", pool.name)).collect();
    let known = provisioners(cluster);
    let with_queue = known.iter().any(|of| of.variable("INTERRUPTION_QUEUE").is_some());
    if !spot.is_empty() && !with_queue {
        let level = if known.is_empty() { Level::Note } else { Level::Warning };
        let says = format!("may buy spot, and nobody is told of interruptions: {}", some(&spot));
        let remedy = "make the queue and its rules (docs/aws.md), and set settings.interruptionQueue to its name";
        check.find(level, "", says, remedy);
    }
    check.or_well(if spot.is_empty() { "no NodePool buys spot" } else { "interruptions are told of" });
}

fn allows_spot(pool: &NodePool) -> bool {
    let is_ec2 = pool.node_class.kind.starts_with("EC2");
    is_ec2 && pool.requirements.get(labels::CAPACITY_TYPE).is_none_or(|of| of.allows(labels::CAPACITY_SPOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_they_are_written() {
        assert_eq!(
            ["v1.34.2", "v1.37.0-eks-a1b2", "1.30+", "v2.1.0", "x"].map(minor),
            [Some(34), Some(37), Some(30), None, None]
        );
        let of = |image: &str| Provisioner {
            namespace: String::new(),
            name: String::new(),
            app: String::new(),
            image: image.to_owned(),
            replicas: 1,
            variables: BTreeMap::new(),
        };
        let version = |image: &str| of(image).version().map(str::to_owned);
        assert_eq!(version("public.ecr.aws/karpenter/controller:1.8.1@sha256:ab").as_deref(), Some("1.8.1"));
        assert_eq!(version("localhost:5000/karpenter"), None);
    }
}
