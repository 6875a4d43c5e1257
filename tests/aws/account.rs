//! An account: moto, the proxy before it, and what a cluster needs in it.

use std::collections::BTreeMap;

use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use packwright::aws::{Aws, Mode, environment};
use packwright::catalog::Ec2Facts;
use packwright::catalog::ec2::PriceTable;

use super::moto::Moto;
use super::proxy::Proxy;

/// Resources that classes select by this tag.
pub const DISCOVERY: (&str, &str) = ("karpenter.sh/discovery", "my-cluster");
pub const REGION: &str = "us-east-1";
pub const QUEUE: &str = "interruptions";
pub const ROLE: &str = "PackwrightNodeRole-my-cluster";

/// What there is in it. It ends with this value.
pub struct Account {
    pub proxy: Proxy,
    /// Past the proxy.
    pub aws: Aws,
    pub queue_url: String,
    _moto: Moto,
}

impl Account {
    /// Three subnets in three zones, a security group, a role, a queue, and images of AL2023 for both architectures.
    pub async fn new(kubernetes: &str) -> Self {
        let moto = Moto::start();
        let proxy = Proxy::start(moto.address);
        let aws = clients(&format!("http://{}", moto.address), Mode::Acts).await;
        let vpc = aws.ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.unwrap();
        let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
        for (number, zone) in ["a", "b", "c"].iter().enumerate() {
            let subnet = aws.ec2.create_subnet().vpc_id(&vpc).cidr_block(format!("10.0.{}.0/20", number * 16));
            let subnet = subnet.availability_zone(format!("{REGION}{zone}"));
            subnet.tag_specifications(discovery(ResourceType::Subnet)).send().await.unwrap();
        }
        let group = aws.ec2.create_security_group().group_name("nodes").description("nodes").vpc_id(&vpc);
        group.tag_specifications(discovery(ResourceType::SecurityGroup)).send().await.unwrap();
        aws.iam.create_role().role_name(ROLE).assume_role_policy_document("{}").send().await.unwrap();
        let queue_url = aws.sqs.create_queue().queue_name(QUEUE).send().await.unwrap().queue_url.unwrap();
        let account = Self { proxy, aws, queue_url, _moto: moto };
        account.publish_images(kubernetes, "first");
        let facts = Ec2Facts::bundled().types().iter();
        let prices = facts.filter_map(|kind| Some((kind.name.to_string(), kind.price(PriceTable::UsEast1)?)));
        account.proxy.faults().prices =
            prices.map(|(kind, price)| (kind, format!("{}.{:06}", price.0 / 1_000_000, price.0 % 1_000_000))).collect();
        account
    }

    /// New images become the recommended ones.
    pub fn publish_images(&self, kubernetes: &str, name: &str) {
        let mut faults = self.proxy.faults();
        for arch in ["x86_64", "arm64"] {
            let id = format!("ami-{:017x}", faults.images.len() + 1);
            faults.images.insert(id.clone(), (format!("al2023-{arch}-{name}"), arch));
            let folder = format!("/aws/service/eks/optimized-ami/{kubernetes}/amazon-linux-2023/{arch}/standard");
            faults.parameters.insert(format!("{folder}/recommended/image_id"), id);
        }
    }

    /// The images that are there have a version, too.
    pub fn publish_version(&self, kubernetes: &str, version: &str) {
        let mut faults = self.proxy.faults();
        let ids: Vec<String> = faults.images.keys().take(2).cloned().collect();
        let of = [
            ("x86_64", "standard"),
            ("x86_64", "nvidia"),
            ("x86_64", "neuron"),
            ("arm64", "standard"),
            ("arm64", "nvidia"),
        ];
        for (arch, variant) in of {
            let image = format!("amazon-eks-node-al2023-{arch}-{variant}-{kubernetes}-{version}");
            let folder = format!("/aws/service/eks/optimized-ami/{kubernetes}/amazon-linux-2023/{arch}/{variant}");
            let id = &ids[usize::from(arch == "arm64")];
            faults.parameters.insert(format!("{folder}/{image}/image_id"), id.clone());
        }
    }

    /// Clients through the proxy.
    pub async fn clients(&self, mode: Mode) -> Aws {
        clients(&self.proxy.url(), mode).await
    }

    /// What a process needs to find it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.proxy.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("CLUSTER_NAME", "test".to_owned()),
            ("INTERRUPTION_QUEUE", QUEUE.to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

async fn clients(endpoint: &str, mode: Mode) -> Aws {
    let loader =
        environment().endpoint_url(endpoint).credentials_provider(Credentials::new("test", "test", None, None, "test"));
    Aws::connect(loader, Some(REGION), mode).await.unwrap()
}

fn discovery(kind: ResourceType) -> TagSpecification {
    let tag = Tag::builder().key(DISCOVERY.0).value(DISCOVERY.1).build();
    TagSpecification::builder().resource_type(kind).tags(tag).build()
}
